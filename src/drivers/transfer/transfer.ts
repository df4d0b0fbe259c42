// The transfer driver: bulk bytes between agents on connections and threads of their own, so that a copy of any size delays no renewal.
import { Worker } from 'node:worker_threads';
import { gather } from '../../core/replication/gather.ts';
import { isSha256 } from '../../core/replication/names.ts';
import type { Sha256 } from '../../core/replication/types.ts';
import type { NodeId } from '../../core/types.ts';
import type {
  BlobAddress,
  FromReceiver,
  FromServer,
  LogLine,
  OfferChange,
  Peer,
  ReceiveOutcome,
  ReceiveProgress,
  ReceiverSetup,
  ServerSetup,
  SharedPart,
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
  /** The threads' programs; a measurement may bring its own. */
  readonly threads?: { readonly serve: URL; readonly receive: URL };
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
  /** Certificates for every later handshake. */
  readonly setTls: (tls: TlsMaterial) => void;
  readonly close: () => Promise<void>;
};

const STALL_MS = 10_000;
const RESTART_MS = 1000;
const CLOSE_MS = 2000;
// Nothing to copy is the normal state of a cluster: a receiving thread costs 15 MB.
const RECEIVER_IDLE_MS = 60_000;
// What the threads move never enters their heaps.
const THREADS = { serve: new URL('./serve.ts', import.meta.url), receive: new URL('./receive.ts', import.meta.url) };
const THREAD_LIMITS = { maxYoungGenerationSizeMb: 3 } as const;

/** Starts the serving thread; resolves when the port is open, or known to be taken (then it is tried again for ever, and logged). */
export async function openTransfer(options: TransferOptions): Promise<Transfer> {
  let peers = options.peers;
  const server = options.listen === null ? null : startServer(options, options.listen, () => [...peers.keys()]);
  const receiver = startReceiver(options, (digest, part) => server?.share(digest, part));
  let closed: Promise<void> | undefined;
  let helpers = helpersOf(peers, []);
  await server?.ready;
  return {
    port: () => server?.port() ?? 0,
    fetchBlob: (order) => {
      if (helpers.peers !== peers || helpers.asked !== order.sources) helpers = helpersOf(peers, order.sources);
      const { sources, mates } = helpers;
      const bad = !isSha256(order.digest) || !Number.isSafeInteger(order.sizeBytes) || order.sizeBytes < 0;
      if (closed !== undefined) return Promise.resolve({ k: 'failed', cause: 'aborted', reason: 'closed', blamed: [] });
      if (bad) return Promise.resolve({ k: 'failed', cause: 'sources', reason: 'not a blob: malformed digest or size', blamed: [] });
      return receiver.fetch(order, sources, mates);
    },
    offer: (change) => server?.offer(change),
    setPeers: (next) => {
      peers = next;
      server?.allow([...next.keys()]);
    },
    setLimit: (bytesPerSecondMax) => receiver.limit(bytesPerSecondMax),
    setTls: (tls) => {
      server?.setTls(tls);
      receiver.setTls(tls);
    },
    close: () => {
      closed ??= Promise.all([server?.close(), receiver.close()]).then(() => undefined);
      return closed;
    },
  };
}

type Helpers = {
  readonly peers: TransferOptions['peers'];
  readonly asked: readonly NodeId[];
  readonly sources: readonly Peer[];
  readonly mates: readonly Peer[];
};

/** Whom to ask. The blobs of one model share it, and so does the message that orders them. */
function helpersOf(peers: Helpers['peers'], asked: readonly NodeId[]): Helpers {
  const known = [...peers].map(([node, { host, port }]) => ({ node, host, port }));
  const sources = asked.flatMap((node) => known.filter((peer) => peer.node === node));
  return { peers, asked, sources, mates: known.filter((peer) => !asked.includes(peer.node)) };
}

type ServerThread = {
  readonly ready: Promise<void>;
  readonly port: () => number;
  readonly offer: (change: OfferChange) => void;
  readonly share: (digest: Sha256, part: SharedPart | null) => void;
  readonly allow: (nodes: readonly NodeId[]) => void;
  readonly setTls: (tls: TlsMaterial) => void;
  readonly close: () => Promise<void>;
};

function startServer(options: TransferOptions, listen: BlobAddress, nodesNow: () => readonly NodeId[]): ServerThread {
  const { log, root, cluster } = options;
  let { tls } = options;
  const offers = new Map<Sha256, string>();
  const ready = Promise.withResolvers<void>();
  let port = 0;
  const start = (): Worker => {
    const setup: ServerSetup = { listen, root, cluster, tls, nodes: nodesNow() };
    const started = new Worker((options.threads ?? THREADS).serve, { workerData: setup, resourceLimits: THREAD_LIMITS });
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
    share: (digest, part) => post({ k: 'part', digest, part }),
    allow: (nodes) => post({ k: 'nodes', nodes }),
    setTls: (next) => {
      tls = next;
      post({ k: 'tls', tls });
    },
    close: () => thread.close(() => post({ k: 'close' })),
  };
}

type ReceiverThread = {
  readonly fetch: (order: FetchOrder, sources: readonly Peer[], mates: readonly Peer[]) => Promise<ReceiveOutcome>;
  readonly limit: (bytesPerSecondMax: number) => void;
  readonly setTls: (tls: TlsMaterial) => void;
  readonly close: () => Promise<void>;
};

type Waiting = { readonly progress: (progress: ReceiveProgress) => void; readonly resolve: (outcome: ReceiveOutcome) => void };
type Receiver = { readonly worker: Worker; readonly post: (message: ToReceiver) => void; readonly waiting: Map<number, Waiting> };

/** The receiving thread: started by the first order, ended when there was none for RECEIVER_IDLE_MS. A crash fails its orders; the next one starts another. */
function startReceiver(options: TransferOptions, share: ServerThread['share']): ReceiverThread {
  const { cluster, log } = options;
  let { bytesPerSecondMax, tls } = options;
  let current: Receiver | null = null;
  let idle: NodeJS.Timeout | undefined;
  let nextId = 1;

  function start(): Receiver {
    const setup: ReceiverSetup = { cluster, tls, stallMs: options.stallMs ?? STALL_MS, bytesPerSecondMax };
    const worker = new Worker((options.threads ?? THREADS).receive, { workerData: setup, resourceLimits: THREAD_LIMITS });
    const post = gather<ToReceiver>(setImmediate, (messages) => worker.postMessage(messages));
    const started: Receiver = { worker, post, waiting: new Map() };
    const take = (message: FromReceiver) => {
      if (message.k === 'log') return log(message.level, message.event, message.text, message.fields);
      if (message.k === 'part') return share(message.digest, message.part);
      const order = started.waiting.get(message.id);
      if (message.k === 'progress') return order?.progress(message);
      started.waiting.delete(message.id);
      order?.resolve(message.outcome);
      if (started.waiting.size === 0) idle = setTimeout(() => void end(), RECEIVER_IDLE_MS).unref();
    };
    worker.on('message', (messages: readonly FromReceiver[]) => messages.forEach(take));
    worker.on('error', (error: Error) => log('error', 'transfer_thread_failed', `the receiving thread failed: ${error.message}`, {}));
    worker.on('exit', () => {
      if (current === started) current = null;
      for (const { resolve } of started.waiting.values())
        resolve({ k: 'failed', cause: 'aborted', reason: 'the receiving thread stopped', blamed: [] });
    });
    return started;
  }

  async function end(): Promise<void> {
    clearTimeout(idle);
    const ending = current;
    current = null;
    if (ending !== null) await endThread(ending.worker, () => ending.post({ k: 'close' }));
  }

  return {
    fetch: async ({ digest, sizeBytes, file, progress, signal }, sources, mates) => {
      if (signal.aborted) return { k: 'failed', cause: 'aborted', reason: 'aborted', blamed: [] };
      clearTimeout(idle);
      current ??= start();
      const { post, waiting } = current;
      const id = nextId++;
      const { promise, resolve } = Promise.withResolvers<ReceiveOutcome>();
      waiting.set(id, { progress, resolve });
      const cancel = () => post({ k: 'cancel', id });
      signal.addEventListener('abort', cancel, { once: true });
      post({ k: 'receive', id, order: { digest, sizeBytes, file, sources, mates } });
      return promise.finally(() => signal.removeEventListener('abort', cancel));
    },
    limit: (next) => {
      bytesPerSecondMax = next;
      current?.post({ k: 'limit', bytesPerSecondMax });
    },
    setTls: (next) => {
      tls = next;
      current?.post({ k: 'tls', tls });
    },
    close: end,
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
    close: (ask) => {
      closing = true;
      return endThread(worker, ask);
    },
  };
}

async function endThread(worker: Worker, ask: () => void): Promise<void> {
  const gone = worker.threadId === -1 ? Promise.resolve() : new Promise((resolve) => worker.once('exit', resolve));
  ask();
  const timer = setTimeout(() => void worker.terminate(), CLOSE_MS);
  await gone;
  clearTimeout(timer);
}
