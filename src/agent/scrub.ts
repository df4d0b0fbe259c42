// Reads everything at rest anew, slowly and in the background, and finds rot that no stat shows. A pass goes through the blobs in the order of
// their digests and leaves a cursor, so that a restart goes on where the last process was. What is corrupt counts as missing from then on
// (S5), and replication fetches it again from a peer.
import type { BlobRef, ModelPath } from '../core/replication/types.ts';
import type { ScrubView } from './control-replication.ts';
import type { Pause, ReplicatorLog } from './replicator-ports.ts';

/** The store, seen from the scrub. */
export type ScrubStore = {
  readonly list: () => Promise<readonly { readonly path: ModelPath; readonly blobs: readonly BlobRef[] | null }[]>;
  readonly rehash: (ref: BlobRef, bytesPerSecondMax: number) => Promise<'verified' | 'absent' | 'corrupt'>;
  /** What is known of it; reads it only when nothing is. */
  readonly verify: (ref: BlobRef) => Promise<'verified' | 'absent' | 'corrupt'>;
};

/** Where a pass stands, over restarts. `cursor` '' = no pass is under way; `doneAtMs` is wall clock. */
export type ScrubCursor = { readonly doneAtMs: number; readonly cursor: string };

/** What the scrub is made of. */
export type ScrubOptions = {
  readonly store: ScrubStore;
  /** From the end of a pass to the start of the next, ms; 0 = never. */
  readonly everyMs: number;
  readonly bytesPerSecondMax: number;
  /** Null = there was none. */
  readonly saved: ScrubCursor | null;
  readonly save: (cursor: ScrubCursor) => void;
  readonly log: ReplicatorLog;
  readonly wallMs: () => number;
  readonly pause: Pause;
};

const LOOK_MS = 60_000;
/** The cursor goes to disk so often at most: thousands of small blobs pass in a second. */
const SAVE_MS = 5000;

/** A blob and the models that name it. */
export type NamedBlob = BlobRef & { readonly models: readonly ModelPath[] };

/** Every blob that a readable manifest names, once, in the order of digests. */
export function blobsNamed(
  models: readonly { readonly path: ModelPath; readonly blobs: readonly BlobRef[] | null }[],
): readonly NamedBlob[] {
  const named = new Map<string, NamedBlob>();
  for (const { path, blobs } of models) {
    for (const ref of blobs ?? []) {
      const before = named.get(ref.digest);
      named.set(ref.digest, { ...ref, models: [...(before?.models ?? []), path] });
    }
  }
  return [...named.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1));
}

/** Starts it; the first pass of a store that was never scrubbed comes after `everyMs`: it was hashed when it was first seen. */
export function startScrub(options: ScrubOptions): { readonly view: () => ScrubView; readonly close: () => void } {
  const { store, everyMs, log, wallMs, pause } = options;
  const stop = new AbortController();
  let at: ScrubCursor = options.saved ?? { doneAtMs: wallMs(), cursor: '' };
  const seen = { running: false, checkedBlobs: 0, checkedBytes: 0, totalBlobs: 0, corruptBlobs: 0 };
  if (options.saved === null) options.save(at);

  let savedAtMs = wallMs();
  const keep = (next: ScrubCursor, now: boolean) => {
    at = next;
    if (!now && Math.abs(wallMs() - savedAtMs) < SAVE_MS) return;
    options.save(next);
    savedAtMs = wallMs();
  };

  async function pass(): Promise<void> {
    const blobs = blobsNamed(await store.list());
    Object.assign(seen, { running: true, checkedBlobs: 0, checkedBytes: 0, totalBlobs: blobs.length, corruptBlobs: 0 });
    for (const ref of blobs) {
      if (stop.signal.aborted) return;
      if (ref.digest > at.cursor) await check(ref);
      seen.checkedBlobs += 1;
    }
    keep({ doneAtMs: wallMs(), cursor: '' }, true);
    const { checkedBlobs, checkedBytes, corruptBlobs } = seen;
    log('info', 'scrub_done', `${checkedBlobs} blobs read anew, ${corruptBlobs} corrupt`, { checkedBlobs, checkedBytes, corruptBlobs });
  }

  async function check(ref: NamedBlob): Promise<void> {
    const verdict = await store.rehash(ref, options.bytesPerSecondMax);
    if (stop.signal.aborted) return;
    seen.checkedBytes += ref.sizeBytes;
    if (verdict === 'corrupt') {
      seen.corruptBlobs += 1;
      const text = `blob ${ref.digest} of ${ref.models.join(', ')} is corrupt at rest; it counts as missing and is fetched from a peer`;
      log('error', 'scrub_corrupt', text, { digest: ref.digest, sizeBytes: ref.sizeBytes });
    }
    keep({ doneAtMs: at.doneAtMs, cursor: ref.digest }, false);
  }

  const due = () => everyMs > 0 && (at.cursor !== '' || wallMs() - at.doneAtMs >= everyMs);
  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      if (due()) await pass().catch(failed);
      seen.running = false;
      await pause(LOOK_MS, stop.signal).catch(() => undefined);
    }
  }

  function failed(error: unknown): void {
    if (!stop.signal.aborted) log('warn', 'scrub_failed', String(error), {});
  }

  void run();
  return {
    view: () => ({ ...seen, lastDoneAtMs: at.doneAtMs, nextAtMs: everyMs === 0 ? 0 : at.doneAtMs + everyMs }),
    close: () => {
      stop.abort();
      options.save(at);
    },
  };
}
