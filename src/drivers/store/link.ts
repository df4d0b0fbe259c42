// The main thread's end of the store's thread: questions with answers, the mirror of what is verified, the latest inventory.
import { Worker } from 'node:worker_threads';
import type { BlobRef, Inventory, Sha256 } from '../../core/replication/types.ts';
import type { Owner } from './durable.ts';
import type { BlobVerdict, FromThread, LogFields, NamedBlobs, ThreadSetup, ToThread, VerifiedChange } from './messages.ts';

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
  /** Looks at the disk and tells what every manifest names. Throws when the store is refused. */
  readonly list: () => Promise<readonly NamedBlobs[]>;
  /** Flushes the store's file system; false: it could not be done. */
  readonly sync: () => Promise<boolean>;
  /** Moves a small blob under its final name, together with others that wait. Not placed: `key` is the file key of the part as it was left. */
  readonly place: (ref: BlobRef, key: string, owner: Owner) => Promise<{ readonly placed: boolean; readonly key: string }>;
  readonly published: (digest: Sha256, key: string) => void;
  readonly close: () => Promise<void>;
};

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
  const open = new Map<number, (message: FromThread | null) => void>();
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
      case 'verdict':
      case 'synced':
      case 'placed':
        open.get(message.id)?.(message);
        open.delete(message.id);
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

  function ask(question: (id: number) => ToThread): Promise<FromThread | null> {
    const id = nextId++;
    const { promise, resolve } = Promise.withResolvers<FromThread | null>();
    open.set(id, resolve);
    worker.postMessage(question(id));
    return promise;
  }

  async function verdictOn(ref: BlobRef, question: (id: number) => ToThread): Promise<BlobVerdict> {
    const answer = await ask(question);
    if (answer?.k !== 'verdict') throw new Error(STOPPED);
    if (answer.verdict === 'verified') mirror.set(ref.digest, answer.key);
    return answer.verdict;
  }

  async function close(): Promise<void> {
    closing = true;
    const gone = worker.threadId === -1 ? Promise.resolve() : new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage({ k: 'close' } satisfies ToThread);
    const timer = setTimeout(() => void worker.terminate(), CLOSE_MS);
    await gone;
    clearTimeout(timer);
  }

  const link: ThreadLink = {
    inventory: () => inventory,
    keyOf: (digest) => mirror.get(digest),
    verifiedNow: () => ({ add: [...mirror], remove: [] }),
    rescan: async () => {
      await ask((id) => ({ k: 'rescan', id }));
    },
    verify: (ref) => verdictOn(ref, (id) => ({ k: 'verify', id, ...ref })),
    rehash: (ref, bytesPerSecondMax) => verdictOn(ref, (id) => ({ k: 'rehash', id, ...ref, bytesPerSecondMax })),
    list: async () => {
      const answer = await ask((id) => ({ k: 'list', id }));
      if (answer?.k !== 'listed') throw new Error(STOPPED);
      if (answer.refused !== null) throw new Error(answer.refused);
      return answer.models;
    },
    sync: async () => {
      const answer = await ask((id) => ({ k: 'sync', id }));
      return answer?.k === 'synced' && answer.done;
    },
    place: async (ref, key, owner) => {
      const answer = await ask((id) => ({ k: 'place', id, ref, key, owner }));
      if (answer?.k !== 'placed') return { placed: false, key };
      if (answer.key !== null) mirror.set(ref.digest, answer.key);
      return { placed: answer.key !== null, key: answer.partKey };
    },
    published: (digest, key) => {
      mirror.set(digest, key);
      worker.postMessage({ k: 'published', digest, key } satisfies ToThread);
    },
    close: () => {
      closed ??= close();
      return closed;
    },
  };
  await link.rescan();
  return link;
}
