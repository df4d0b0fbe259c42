// The main thread's end of the store's thread: questions with answers, the mirror of what is verified, the latest inventory.
import { Worker } from 'node:worker_threads';
import { gather } from '../../core/replication/gather.ts';
import type { BlobRef, Inventory, Sha256 } from '../../core/replication/types.ts';
import type { Owner } from './durable.ts';
import type {
  BlobVerdict,
  FromThread,
  LogFields,
  NamedBlobs,
  PlaceAsk,
  Placed,
  ThreadSetup,
  ToThread,
  Verdict,
  VerifiedChange,
} from './messages.ts';

/** Takes a log line. `event` is a stable id. */
export type Log = (level: 'info' | 'warn' | 'error', event: string, text: string, fields: LogFields) => void;

/** The thread, asked from the main thread. */
export type ThreadLink = {
  readonly inventory: () => Inventory;
  /** File key of a verified blob, or undefined. */
  readonly keyOf: (digest: Sha256) => string | undefined;
  readonly verifiedNow: () => VerifiedChange;
  readonly rescan: () => Promise<void>;
  readonly verify: (ref: BlobRef) => Promise<BlobVerdict>;
  /** Reads the blob anew; see the `rehash` question. */
  readonly rehash: (ref: BlobRef, bytesPerSecondMax: number) => Promise<BlobVerdict>;
  /** Those of these that do not lie there as verified, by stat alone. */
  readonly doubtful: (refs: readonly BlobRef[]) => Promise<readonly BlobRef[]>;
  /** Looks at the disk and tells what every manifest names. Throws when the store is refused. */
  readonly list: () => Promise<readonly NamedBlobs[]>;
  /** Flushes the store's file system; false: it could not be done. */
  readonly sync: () => Promise<boolean>;
  /** Moves a small blob under its final name, together with others that wait. Not placed: `key` is the file key of the part as it was left. */
  readonly place: (ref: BlobRef, key: string, owner: Owner) => Promise<{ readonly placed: boolean; readonly key: string }>;
  readonly published: (digest: Sha256, key: string) => void;
  readonly close: () => Promise<void>;
};

type Answer = FromThread | Verdict | Placed;

const RESTART_MS = 1000;
const CLOSE_MS = 2000;
const STOPPED = "the store's thread stopped before it answered";
const NOT_YET: Inventory = { version: 0, models: [], refused: 'not looked at yet' };

/** Starts the thread; resolves after its first scan. A thread that dies is logged and started again. */
export async function startThread(args: {
  readonly setup: ThreadSetup;
  readonly log: Log;
  readonly onInventory: (inventory: Inventory) => void;
  readonly onVerified: (change: VerifiedChange) => void;
}): Promise<ThreadLink> {
  const { setup, log } = args;
  const mirror = new Map<Sha256, string>();
  const open = new Map<number, (message: Answer | null) => void>();
  let inventory = NOT_YET;
  let nextId = 1;
  let closing = false;
  let closed: Promise<void> | undefined;
  let worker = start();

  function start(): Worker {
    const started = new Worker(new URL('./thread.ts', import.meta.url), {
      workerData: setup,
      resourceLimits: { maxYoungGenerationSizeMb: 3 },
    });
    started.on('message', take);
    started.on('error', (error: Error) => log('error', 'store_thread_failed', `the store's thread failed: ${error.message}`, {}));
    started.on('exit', () => {
      for (const answer of open.values()) answer(null);
      open.clear();
      if (!closing) setTimeout(restart, RESTART_MS);
    });
    return started;
  }

  function restart(): void {
    if (!closing) worker = start();
  }

  function take(message: FromThread): void {
    switch (message.k) {
      case 'scanned':
      case 'listed':
      case 'synced':
      case 'doubtful':
        answer(message.id, message);
        return;
      case 'verdicts':
      case 'placed':
        for (const one of message.answers) answer(one.id, one);
        return;
      case 'blobs':
        for (const digest of message.change.remove) mirror.delete(digest);
        for (const [digest, key] of message.change.add) mirror.set(digest, key);
        args.onVerified(message.change);
        return;
      case 'inventory':
        inventory = message.inventory;
        args.onInventory(inventory);
        return;
      case 'log':
        log(message.level, message.event, message.text, message.fields);
    }
  }

  function answer(id: number, message: Answer): void {
    open.get(id)?.(message);
    open.delete(id);
  }

  const post = (message: ToThread) => worker.postMessage(message);
  const postVerify = gather<{ readonly id: number; readonly ref: BlobRef }>(setImmediate, (asks) => post({ k: 'verify', asks }));
  const postPlace = gather<PlaceAsk>(setImmediate, (asks) => post({ k: 'place', asks }));

  /** Null: the thread stopped, or is not there. */
  function ask(put: (id: number) => void): Promise<Answer | null> {
    if (worker.threadId === -1) return Promise.resolve(null);
    const id = nextId++;
    const { promise, resolve } = Promise.withResolvers<Answer | null>();
    open.set(id, resolve);
    put(id);
    return promise;
  }

  async function verdictOn(ref: BlobRef, put: (id: number) => void): Promise<BlobVerdict> {
    const given = await ask(put);
    if (given === null || !('verdict' in given)) throw new Error(STOPPED);
    if (given.verdict === 'verified') mirror.set(ref.digest, given.key);
    return given.verdict;
  }

  async function close(): Promise<void> {
    closing = true;
    const gone = worker.threadId === -1 ? Promise.resolve() : new Promise((resolve) => worker.once('exit', resolve));
    post({ k: 'close' });
    const timer = setTimeout(() => void worker.terminate(), CLOSE_MS);
    await gone;
    clearTimeout(timer);
  }

  const link: ThreadLink = {
    inventory: () => inventory,
    keyOf: (digest) => mirror.get(digest),
    verifiedNow: () => ({ add: [...mirror], remove: [] }),
    rescan: async () => {
      await ask((id) => post({ k: 'rescan', id }));
    },
    verify: (ref) => verdictOn(ref, (id) => postVerify({ id, ref })),
    rehash: (ref, bytesPerSecondMax) => verdictOn(ref, (id) => post({ k: 'rehash', id, ref, bytesPerSecondMax })),
    doubtful: async (refs) => {
      const given = await ask((id) => post({ k: 'check', id, refs }));
      if (given === null || !('k' in given) || given.k !== 'doubtful') throw new Error(STOPPED);
      return given.refs;
    },
    list: async () => {
      const given = await ask((id) => post({ k: 'list', id }));
      if (given === null || !('k' in given) || given.k !== 'listed') throw new Error(STOPPED);
      if (given.refused !== null) throw new Error(given.refused);
      return given.models;
    },
    sync: async () => {
      const given = await ask((id) => post({ k: 'sync', id }));
      return given !== null && 'k' in given && given.k === 'synced' && given.done;
    },
    place: async (ref, key, owner) => {
      const given = await ask((id) => postPlace({ id, ref, key, owner }));
      if (given === null || !('partKey' in given)) return { placed: false, key };
      if (given.key !== null) mirror.set(ref.digest, given.key);
      return { placed: given.key !== null, key: given.partKey };
    },
    published: (digest, key) => {
      mirror.set(digest, key);
      post({ k: 'published', digest, key });
    },
    close: () => {
      closed ??= close();
      return closed;
    },
  };
  await link.rescan();
  return link;
}
