// The transfer driver: bulk bytes between agents on connections and threads of their own, so that a copy of any size delays no renewal.
import { Worker } from 'node:worker_threads';
import { isSha256 } from '../../core/replication/names.ts';
import type { Sha256 } from '../../core/replication/types.ts';
import type { NodeId } from '../../core/types.ts';
import type {
  BlobAddress,
  FromReceiver,
  FromServer,
  LogLine,
  OfferChange,
  ReceiveOutcome,
  ReceiveProgress,
  ReceiverSetup,
  ServerSetup,
  TlsMaterial,
  ToReceiver,
  ToServer,
} from './messages.ts';

/** How the driver is opened. */
export type TransferOptions = {
  readonly cluster: string;
  readonly tls: TlsMaterial;
  /** Where to serve blobs; null = serve none. */
  readonly listen: BlobAddress | null;
  /** The store whose blobs/ are served. */
  readonly root: string;
  /** Every other node, and where its blobs are served. Only these may connect. */
  readonly peers: ReadonlyMap<NodeId, BlobAddress>;
  /** Limit over all that is received; 0 = none. */
  readonly bytesPerSecondMax: number;
  /** A source that sends no byte for so long is left, ms; default 10,000. */
  readonly stallMs?: number;
  readonly log: (level: LogLine['level'], event: string, text: string, fields: LogLine['fields']) => void;
};

/** One blob to fetch into a stage file. */
export type FetchOrder = {
  readonly digest: Sha256;
  readonly sizeBytes: number;
  readonly file: string;
  readonly sources: readonly NodeId[];
  readonly progress: (progress: ReceiveProgress) => void;
  readonly signal: AbortSignal;
};

/** The transfer driver. */
export type Transfer = {
  /** The port that is listened on; 0 = none yet. */
  readonly port: () => number;
  /** Never rejects: every end is an outcome. */
  readonly fetchBlob: (order: FetchOrder) => Promise<ReceiveOutcome>;
  /** What may be served from now on. Nothing is, before the first call. */
  readonly offer: (change: OfferChange) => void;
  readonly setPeers: (peers: ReadonlyMap<NodeId, BlobAddress>) => void;
  /** Bytes per second, 0 = no limit; also for copies that run. */
  readonly setLimit: (bytesPerSecondMax: number) => void;
  readonly close: () => Promise<void>;
};

const STALL_MS = 10_000;
const RESTART_MS = 1000;
const CLOSE_MS = 2000;

/** Starts both threads; resolves when the port is open, or known to be taken (then it is tried again for ever, and logged). */
export async function openTransfer(options: TransferOptions): Promise<Transfer> {
  let peers = options.peers;
  const server = options.listen === null ? null : startServer(options, options.listen, () => [...peers.keys()]);
  const receiver = startReceiver(options);
  let closed: Promise<void> | undefined;
  await server?.ready;
  return {
    port: () => server?.port() ?? 0,
    fetchBlob: (order) => {
      const sources = order.sources.flatMap((node) => {
        const address = peers.get(node);
        return address === undefined ? [] : [{ node, ...address }];
      });
      const bad = !isSha256(order.digest) || !Number.isSafeInteger(order.sizeBytes) || order.sizeBytes < 0;
      if (bad) return Promise.resolve({ k: 'failed', cause: 'sources', reason: 'not a blob: malformed digest or size', blamed: [] });
      return receiver.fetch(order, sources);
    },
    offer: (change) => server?.offer(change),
    setPeers: (next) => {
      peers = next;
      server?.allow([...next.keys()]);
    },
    setLimit: (bytesPerSecondMax) => receiver.limit(bytesPerSecondMax),
    close: () => {
      closed ??= Promise.all([server?.close(), receiver.close()]).then(() => undefined);
      return closed;
    },
  };
}

type ServerThread = {
  readonly ready: Promise<void>;
  readonly port: () => number;
  readonly offer: (change: OfferChange) => void;
  readonly allow: (nodes: readonly NodeId[]) => void;
  readonly close: () => Promise<void>;
};

function startServer(options: TransferOptions, listen: BlobAddress, nodesNow: () => readonly NodeId[]): ServerThread {
  const { log, root, cluster, tls } = options;
  const offers = new Map<Sha256, string>();
  const ready = Promise.withResolvers<void>();
  let port = 0;
  const start = (): Worker => {
    const setup: ServerSetup = { listen, root, cluster, tls, nodes: nodesNow() };
    const started = new Worker(new URL('./serve.ts', import.meta.url), { workerData: setup });
    started.on('message', (message: FromServer) => {
      if (message.k === 'listening') port = message.port;
      else log(message.level, message.event, message.text, message.fields);
      ready.resolve();
    });
    if (offers.size > 0) started.postMessage({ k: 'offer', change: { add: [...offers], remove: [] } } satisfies ToServer);
    return started;
  };
  const thread = keepAlive(start, log, 'serving');
  const post = (message: ToServer) => thread.worker().postMessage(message);
  return {
    ready: ready.promise,
    port: () => port,
    offer: (change) => {
      for (const digest of change.remove) offers.delete(digest);
      for (const [digest, key] of change.add) offers.set(digest, key);
      post({ k: 'offer', change });
    },
    allow: (nodes) => post({ k: 'nodes', nodes }),
    close: () => thread.close(() => post({ k: 'close' })),
  };
}

type ReceiverThread = {
  readonly fetch: (order: FetchOrder, sources: readonly (BlobAddress & { readonly node: NodeId })[]) => Promise<ReceiveOutcome>;
  readonly limit: (bytesPerSecondMax: number) => void;
  readonly close: () => Promise<void>;
};

type Waiting = { readonly progress: (progress: ReceiveProgress) => void; readonly resolve: (outcome: ReceiveOutcome) => void };

function startReceiver(options: TransferOptions): ReceiverThread {
  const { cluster, tls, log } = options;
  let bytesPerSecondMax = options.bytesPerSecondMax;
  const waiting = new Map<number, Waiting>();
  let nextId = 1;
  const start = (): Worker => {
    const setup: ReceiverSetup = { cluster, tls, stallMs: options.stallMs ?? STALL_MS, bytesPerSecondMax };
    const started = new Worker(new URL('./receive.ts', import.meta.url), { workerData: setup });
    started.on('message', (message: FromReceiver) => {
      if (message.k === 'log') return log(message.level, message.event, message.text, message.fields);
      const order = waiting.get(message.id);
      if (message.k === 'progress') return order?.progress(message);
      waiting.delete(message.id);
      order?.resolve(message.outcome);
    });
    started.on('exit', () => {
      for (const { resolve } of waiting.values())
        resolve({ k: 'failed', cause: 'aborted', reason: 'the receiving thread stopped', blamed: [] });
      waiting.clear();
    });
    return started;
  };
  const thread = keepAlive(start, log, 'receiving');
  const post = (message: ToReceiver) => thread.worker().postMessage(message);
  return {
    fetch: async ({ digest, sizeBytes, file, progress, signal }, sources) => {
      if (signal.aborted) return { k: 'failed', cause: 'aborted', reason: 'aborted', blamed: [] };
      const id = nextId++;
      const { promise, resolve } = Promise.withResolvers<ReceiveOutcome>();
      waiting.set(id, { progress, resolve });
      const cancel = () => post({ k: 'cancel', id });
      signal.addEventListener('abort', cancel, { once: true });
      post({ k: 'receive', id, order: { digest, sizeBytes, file, sources } });
      return promise.finally(() => signal.removeEventListener('abort', cancel));
    },
    limit: (next) => {
      bytesPerSecondMax = next;
      post({ k: 'limit', bytesPerSecondMax });
    },
    close: () => thread.close(() => post({ k: 'close' })),
  };
}

/** A thread that is started again when it dies; `close` asks first and ends it after CLOSE_MS. */
function keepAlive(
  start: () => Worker,
  log: TransferOptions['log'],
  name: string,
): { readonly worker: () => Worker; readonly close: (ask: () => void) => Promise<void> } {
  let closing = false;
  let worker = watched();
  function watched(): Worker {
    const started = start();
    started.on('error', (error: Error) => log('error', 'transfer_thread_failed', `the ${name} thread failed: ${error.message}`, {}));
    started.on('exit', () => {
      if (!closing) setTimeout(restart, RESTART_MS);
    });
    return started;
  }
  function restart(): void {
    if (!closing) worker = watched();
  }
  return {
    worker: () => worker,
    close: async (ask) => {
      closing = true;
      const gone = worker.threadId === -1 ? Promise.resolve() : new Promise((resolve) => worker.once('exit', resolve));
      ask();
      const timer = setTimeout(() => void worker.terminate(), CLOSE_MS);
      await gone;
      clearTimeout(timer);
    },
  };
}
