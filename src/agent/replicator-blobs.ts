// Blobs on their way into the store: each fetched once however many models wait for it, a bounded number at a time, in the order asked.
import { SMALL_BLOB_BYTES } from '../core/replication/sizes.ts';
import type { BlobRef, Sha256 } from '../core/replication/types.ts';
import type { NodeId } from '../core/types.ts';
import type { BlobOutcome, FetchBlob, Pause, ReplicatorLog, ReplicatorStore } from './replicator-ports.ts';
import type { Stop } from './replicator-stop.ts';

/** What a model is told of one of its blobs. */
export type BlobNews = {
  readonly doneBytes: number;
  readonly phase: 'waiting' | 'verify' | 'receive' | 'flush';
  readonly from: NodeId | '';
  readonly note: string;
};

/** How bringing one blob ended. */
export type BlobResult =
  | { readonly k: 'here'; readonly receivedBytes: number }
  /** Whole and verified in the stage; only `hold` ends so. */
  | { readonly k: 'held'; readonly receivedBytes: number }
  | { readonly k: 'failed'; readonly cause: 'sources' | 'disk' | 'aborted'; readonly reason: string };

type Bring = (ref: BlobRef, sources: readonly NodeId[], stop: Stop, news: (news: BlobNews) => void) => Promise<BlobResult>;

/**
 * The blobs under way. `bring` resolves when the blob is verified under its final name, `hold` already when it is so in the stage, and waits
 * for no room. Neither rejects.
 */
export type BlobLine = { readonly bring: Bring; readonly hold: Bring };

type Entry = {
  readonly ref: BlobRef;
  readonly stop: AbortController;
  readonly waiters: Set<(news: BlobNews) => void>;
  result: Promise<BlobResult>;
  doneBytes: number;
  /** A model waits for it: under its final name, or not at all. */
  publish: boolean;
  /** Gives its slot to the next blob; more than once does no harm. */
  leave: () => void;
};

/** So many small blobs at once count as one: what each of them waits for is done for all of them together. */
const SMALL_AT_ONCE = 32;
const PUBLISHING_AT_ONCE = 256;
/** Small ones wait for the disk together. */
const PUBLISHING_SMALL_AT_ONCE = 4096;
/** So many small blobs may come after one look at the free space. */
const ROOM_USES = 64;
const NO_ROOM = { freeBytes: 0, uses: 0 };
/** Pause between two looks at a full disk, ms. */
const ROOM_MS = 5000;

/** Opens the line. `pause` waits and rejects when its signal aborts. */
export function openBlobLine(args: {
  readonly store: ReplicatorStore;
  readonly fetchBlob: FetchBlob;
  readonly concurrency: number;
  readonly pause: Pause;
  readonly log: ReplicatorLog;
}): BlobLine {
  const { store, fetchBlob, pause, log } = args;
  const entries = new Map<Sha256, Entry>();
  // A blob given up and wanted again must not write its part while the former attempt still lets go of it.
  const ending = new Map<Sha256, Promise<unknown>>();
  const slots = openSlots(args.concurrency);
  const smallSlots = openSlots(args.concurrency * SMALL_AT_ONCE);
  // Each of the large ones holds a file open.
  const publishing = openSlots(PUBLISHING_AT_ONCE);
  const publishingSmall = openSlots(PUBLISHING_SMALL_AT_ONCE);
  const receiving = new Set<Entry>();
  const looks = openSlots(1);
  let grant = NO_ROOM;

  const bringOne = async (entry: Entry, sources: readonly NodeId[]): Promise<BlobResult> => {
    const { ref, stop } = entry;
    const say = (news: BlobNews) => entry.waiters.forEach((tell) => void tell(news));
    try {
      await ending.get(ref.digest);
      // What Ollama or an earlier run left here counts once its hash is checked.
      if (isSmall(ref) && (await store.verify(ref)) === 'verified') return { k: 'here', receivedBytes: 0 };
      entry.leave = await (isSmall(ref) ? smallSlots : slots).enter(stop.signal);
      if (!isSmall(ref) && (await store.verify(ref)) === 'verified') return { k: 'here', receivedBytes: 0 };
      const staged = await store.stage(ref.digest, ref.sizeBytes);
      entry.doneBytes = staged.presentBytes;
      if (staged.heldKey !== null) return await finish(entry, staged.heldKey, 0);
      await room(entry, say);
      receiving.add(entry);
      return await receive(entry, staged.file, sources, say);
    } catch (error) {
      const cause = stop.signal.aborted ? 'aborted' : 'disk';
      return { k: 'failed', cause, reason: error instanceof Error ? error.message : String(error) };
    } finally {
      receiving.delete(entry);
      entry.leave();
    }
  };

  async function receive(entry: Entry, file: string, sources: readonly NodeId[], say: (news: BlobNews) => void): Promise<BlobResult> {
    const { ref, stop } = entry;
    for (;;) {
      const outcome = await fetchBlob({
        ...ref,
        file,
        sources,
        progress: ({ doneBytes, phase, from }) => {
          entry.doneBytes = doneBytes;
          say({ doneBytes, phase, from, note: '' });
        },
        signal: stop.signal,
      });
      tellBlame(outcome, ref.digest);
      if (outcome.k === 'done') return finish(entry, outcome.key, outcome.receivedBytes);
      if (outcome.cause !== 'full') return { k: 'failed', cause: outcome.cause, reason: outcome.reason };
      if (!entry.publish) return { k: 'failed', cause: 'disk', reason: 'the disk is full' };
      say({ doneBytes: entry.doneBytes, phase: 'waiting', from: '', note: 'the disk is full' });
      await pause(ROOM_MS, stop.signal);
      await room(entry, say);
    }
  }

  async function finish(entry: Entry, key: string, receivedBytes: number): Promise<BlobResult> {
    const { ref } = entry;
    // All of it is on the disk: what comes next needs no room beside it.
    entry.doneBytes = ref.sizeBytes;
    const end = await (isSmall(ref) ? publishingSmall : publishing).enter(entry.stop.signal);
    // The next one travels while this one becomes durable, so that many small ones become so together.
    entry.leave();
    const { publish } = entry;
    await (publish ? store.publishBlob(ref, key) : store.holdBlob(ref, key)).finally(end);
    return { k: publish ? 'here' : 'held', receivedBytes };
  }

  function tellBlame(outcome: BlobOutcome, digest: Sha256): void {
    for (const { node, reason, corrupt } of outcome.blamed) {
      if (corrupt) log('error', 'replication_corrupt_source', `${node} ${reason}: blob ${digest}`, { node, digest });
    }
  }

  /** Takes room for a small blob out of what the last look left. Counts too much rather than too little. */
  function granted({ sizeBytes }: BlobRef): boolean {
    if (grant.uses <= 0 || grant.freeBytes < sizeBytes) return false;
    grant = { freeBytes: grant.freeBytes - sizeBytes, uses: grant.uses - 1 };
    return true;
  }

  /** Waits until this blob fits beside what the others still have to write. One look at the disk serves many small ones. */
  async function room(entry: Entry, say: (news: BlobNews) => void): Promise<void> {
    if (!isSmall(entry.ref)) return look(entry, say);
    const end = await looks.enter(entry.stop.signal);
    try {
      if (receiving.size === 0) grant = NO_ROOM;
      if (!granted(entry.ref)) await look(entry, say);
    } finally {
      end();
    }
  }

  async function look(entry: Entry, say: (news: BlobNews) => void): Promise<void> {
    let told = false;
    for (;;) {
      const promised = [...receiving].reduce((sum, other) => (other === entry ? sum : sum + other.ref.sizeBytes - other.doneBytes), 0);
      const short = entry.ref.sizeBytes - entry.doneBytes + promised - (await store.freeBytes());
      grant = isSmall(entry.ref) ? { freeBytes: -short, uses: ROOM_USES } : NO_ROOM;
      if (short <= 0) return;
      const keep = new Set(entries.keys());
      if (entry.publish && (await store.makeRoom?.(entry.ref.sizeBytes - entry.doneBytes + promised, keep)) === true) continue;
      const note = `the disk is ${short} bytes short of this blob and the reserve`;
      if (!entry.publish) throw new Error(note);
      say({ doneBytes: entry.doneBytes, phase: 'waiting', from: '', note });
      if (!told) log('warn', 'replication_disk_full', note, { digest: entry.ref.digest, shortBytes: short });
      told = true;
      await pause(ROOM_MS, entry.stop.signal);
    }
  }

  return {
    bring: async (ref, sources, stop, news) => {
      for (;;) {
        const result = await join(ref, sources, stop, news, true);
        // It was held at the very moment at which a model came for it.
        if (result.k !== 'held') return result;
      }
    },
    hold: (ref, sources, stop, news) => join(ref, sources, stop, news, false),
  };

  async function join(...[ref, sources, stop, news, publish]: [...Parameters<Bring>, boolean]): Promise<BlobResult> {
    const entry = entries.get(ref.digest) ?? start(ref, sources);
    entry.publish ||= publish;
    entry.waiters.add(news);
    const gone = Promise.withResolvers<BlobResult>();
    const leave = () => {
      entry.waiters.delete(news);
      if (entry.waiters.size === 0) {
        ending.set(ref.digest, entry.result);
        if (entries.get(ref.digest) === entry) entries.delete(ref.digest);
        entry.stop.abort();
      }
      gone.resolve({ k: 'failed', cause: 'aborted', reason: 'no longer wanted' });
    };
    if (stop.aborted()) leave();
    stop.waits.add(leave);
    try {
      return await Promise.race([entry.result, gone.promise]);
    } finally {
      stop.waits.delete(leave);
      entry.waiters.delete(news);
    }
  }

  function start(ref: BlobRef, sources: readonly NodeId[]): Entry {
    const stopped: BlobResult = { k: 'failed', cause: 'aborted', reason: 'not started' };
    const result = Promise.resolve(stopped);
    const entry: Entry = {
      ref,
      stop: new AbortController(),
      waiters: new Set(),
      result,
      doneBytes: 0,
      publish: false,
      leave: () => undefined,
    };
    entries.set(ref.digest, entry);
    entry.result = bringOne(entry, sources).finally(() => {
      if (entries.get(ref.digest) === entry) entries.delete(ref.digest);
      if (ending.get(ref.digest) === entry.result) ending.delete(ref.digest);
    });
    return entry;
  }
}

const isSmall = (ref: BlobRef) => ref.sizeBytes <= SMALL_BLOB_BYTES;

/** A counted gate, first come first served. */
function openSlots(count: number): { readonly enter: (signal: AbortSignal) => Promise<() => void> } {
  const queue: (() => void)[] = [];
  let free = count;
  const pass = () => {
    const next = queue.shift();
    if (next === undefined) free += 1;
    else next();
  };
  const leaver = () => {
    let left = false;
    return () => {
      if (!left) pass();
      left = true;
    };
  };
  return {
    enter: async (signal) => {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => queue.push(resolve));
      const leave = leaver();
      if (!signal.aborted) return leave;
      leave();
      throw new Error('no longer wanted');
    },
  };
}
