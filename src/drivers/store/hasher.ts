// Hashes what the catalog does not know yet: one file at a time, questions first, then the smaller blobs.
import { setTimeout as pause } from 'node:timers/promises';
import type { BlobRef, Sha256 } from '../../core/replication/types.ts';
import type { Catalog } from './catalog.ts';
import { hashFile, type Rest } from './hash.ts';
import { blobFile } from './layout.ts';
import type { FromThread, Verdict } from './messages.ts';

/** The queue of hashes. */
export type Hasher = {
  /** Each is answered once its hash is known. */
  readonly ask: (asks: readonly { readonly id: number; readonly ref: BlobRef }[]) => void;
  /** Answered after the blob was read anew, beside the queue. */
  readonly rehash: (id: number, ref: BlobRef, bytesPerSecondMax: number) => void;
  /** The catalog was scanned: take its list anew. */
  readonly refill: () => void;
  readonly close: () => void;
};

/** `learned` is called after every hash, `moved` when a file changed while it was read, `idle` when the queue is empty. */
export function openHasher(args: {
  readonly root: string;
  readonly catalog: Catalog;
  readonly tell: (message: FromThread) => void;
  readonly answer: (verdict: Verdict) => void;
  readonly learned: () => void;
  readonly moved: () => void;
  readonly idle: () => void;
}): Hasher {
  const { root, catalog, tell } = args;
  const stop = new AbortController();
  const questions: { readonly id: number; readonly ref: BlobRef }[] = [];
  const unreadable = new Set<Sha256>();
  let pending: BlobRef[] = [];
  let running = false;

  const run = async (): Promise<void> => {
    if (running) return;
    running = true;
    for (let next = take(); next !== null && !stop.signal.aborted; next = take()) {
      if (catalog.stateOf(next.ref).state === 'unhashed') await hashOne(next.ref);
      if (next.id !== null) answer(next.id, next.ref);
    }
    running = false;
    if (!stop.signal.aborted) args.idle();
  };

  function take(): { readonly id: number | null; readonly ref: BlobRef } | null {
    const question = questions.shift();
    if (question !== undefined) return question;
    const ref = pending.shift();
    return ref === undefined ? null : { id: null, ref };
  }

  async function hashOne(ref: BlobRef, rest?: Rest): Promise<void> {
    const { digest } = ref;
    try {
      const result = await hashFile(blobFile(root, digest), stop.signal, rest);
      if (result.k === 'moved') args.moved();
      if (result.k === 'hashed') learn(digest, result.key, result.hex === digest);
    } catch (error) {
      if (stop.signal.aborted || unreadable.has(digest)) return;
      unreadable.add(digest);
      tell({
        k: 'log',
        level: 'warn',
        event: 'store_blob_unreadable',
        text: `cannot read blob ${digest}: ${String(error)}`,
        fields: { digest },
      });
    }
  }

  function learn(digest: Sha256, key: string, good: boolean): void {
    unreadable.delete(digest);
    catalog.learn(digest, key, good);
    if (!good) {
      const text = `blob ${digest} does not have the hash it is named by; it counts as missing`;
      tell({ k: 'log', level: 'error', event: 'store_blob_corrupt', text, fields: { digest } });
    }
    args.learned();
  }

  function answer(id: number, ref: BlobRef): void {
    const { state, key } = catalog.stateOf(ref);
    args.answer({ id, verdict: state === 'unhashed' ? 'absent' : state, key });
  }

  return {
    ask: (asks) => {
      questions.push(...asks);
      void run();
    },
    rehash: (id, ref, bytesPerSecondMax) => {
      void hashOne(ref, restOf(bytesPerSecondMax, stop.signal)).then(() => answer(id, ref));
    },
    refill: () => {
      pending = [...catalog.unhashed()];
      void run();
    },
    close: () => stop.abort(),
  };
}

/** Keeps the pace from the first byte on. */
function restOf(bytesPerSecondMax: number, signal: AbortSignal): Rest {
  if (bytesPerSecondMax <= 0) return () => undefined;
  const startedMs = performance.now();
  return async (bytes) => {
    const aheadMs = (bytes * 1000) / bytesPerSecondMax - (performance.now() - startedMs);
    if (aheadMs > 1) await pause(aheadMs, undefined, { signal }).catch(() => undefined);
  };
}
