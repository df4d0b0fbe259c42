// The fake as a server: sockets, the gate, the faults, the start and the stop. For tests inside one process, and for main.ts.
import { mkdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { startControl } from './control.ts';
import { failListings, listModels, StoreError } from './disk.ts';
import { type Faults, NO_FAULTS } from './faults.ts';
import { isAllowedHost, originGate } from './gate.ts';
import { type Exchange, refuse } from './http.ts';
import { createModels } from './models.ts';
import { shortName } from './names.ts';
import { DEFAULTS, type FakeOptions } from './options.ts';
import { findModel } from './request.ts';
import { forbid, type Server, serve } from './routes.ts';
import { createScheduler } from './scheduler.ts';
import { pruneAtStart, renameOldBlobs } from './store-calls.ts';

/** A runner as tests see it. */
export type RunnerView = { readonly name: string; readonly pid: number; readonly port: number; readonly refs: number };

/** A running fake. */
export interface FakeOllama {
  readonly url: string;
  readonly port: number;
  /** Base URL of the control interface, or null. */
  readonly controlUrl: string | null;
  /** Switches faults on, over the ones that are on. */
  fault(faults: Partial<Faults>): Promise<void>;
  /** Switches all faults off. */
  clear(): Promise<void>;
  runners(): readonly RunnerView[];
  /** Process ids of runners that are loading. */
  loadingPids(): readonly number[];
  /** Requests that wait for a load. */
  waiting(): number;
  /** Lets every loaded model go, as after a lack of memory. */
  expireAll(): void;
  /** Caches a model as if its weights had been missing at first sight; false when it cannot be read. */
  poison(model: string): boolean;
  /** Requests so far, by `METHOD /path`. */
  requests(): Readonly<Record<string, number>>;
  /** As SIGTERM: drops every connection, ends the runners. */
  close(): Promise<void>;
}

const COUNTED_PATHS_MAX = 200;

/** Starts a fake on a store. Rejects when the port is taken. */
export async function startFakeOllama(given: Partial<FakeOptions> & { readonly store: string }): Promise<FakeOllama> {
  const options: FakeOptions = { ...DEFAULTS, ...given };
  mkdirSync(options.store, { recursive: true });
  let faults: Faults = { ...NO_FAULTS, ...options.faults };
  let uses = faults.times ?? Number.POSITIVE_INFINITY;
  const counts = new Map<string, number>();
  const sockets = new Set<Socket>();
  const useFault = () => uses-- > 0;
  const scheduler = createScheduler(options, () => faults, useFault);
  const start = Promise.withResolvers<Server>();
  const loopback = /^(127\.|localhost$|::1$)/.test(options.host);

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = (req.url ?? '/').split('?')[0] ?? '/';
    const counted = `${req.method} ${path}`;
    if (counts.size < COUNTED_PATHS_MAX || counts.has(counted)) counts.set(counted, (counts.get(counted) ?? 0) + 1);
    const gone = new AbortController();
    res.on('close', () => {
      if (!res.writableFinished) gone.abort();
    });
    const server = await start.promise;
    const gate = originGate(req);
    const extra = gate === 'refused' ? [] : gate.extra;
    const x: Exchange = { req, res, method: req.method ?? 'GET', path, signal: gone.signal, extra, faults: () => faults };
    if (gate === 'refused' || (loopback && !isAllowedHost(req.headers.host ?? ''))) return forbid(x);
    try {
      await serve(x, server);
    } catch (error) {
      if (res.headersSent || res.destroyed) res.destroy();
      else refuse(x, 500, String(error));
    }
  }

  // Like Go's server: no time-outs, and idle connections stay.
  const http = createServer(
    { keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0, noDelay: true },
    (req, res) => void handle(req, res),
  );
  http.on('connection', (socket) => {
    if (faults.reset) {
      socket.resetAndDestroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });

  async function listen(port: number): Promise<number> {
    await new Promise<void>((settle, fail) => {
      http.once('error', fail);
      http.listen({ host: options.host, port }, () => {
        http.off('error', fail);
        settle();
      });
    });
    return (http.address() as AddressInfo).port;
  }

  function shut(): void {
    if (http.listening) http.close();
    for (const socket of sockets) socket.destroy();
  }

  const port = await listen(options.port);
  let prepared: Server | null = null;
  const begin = setTimeout(() => {
    prepared = prepare(options, { options, scheduler, faults: () => faults, useFault });
    failListings(options.store, faults.listingErrors);
    start.resolve(prepared);
  }, options.startDelayMs);

  async function apply(next: Faults): Promise<void> {
    const was = faults;
    faults = next;
    uses = next.times ?? Number.POSITIVE_INFINITY;
    if (next.listingErrors !== was.listingErrors) failListings(options.store, next.listingErrors);
    if (next.refuse && !was.refuse) shut();
    if (!next.refuse && was.refuse) await listen(port);
    scheduler.faultsChanged();
  }

  const fake: FakeOllama = {
    url: `http://${options.host === '0.0.0.0' ? '127.0.0.1' : options.host}:${port}`,
    port,
    get controlUrl() {
      return control?.url ?? null;
    },
    fault: (more) => apply({ ...faults, ...more }),
    clear: () => apply(NO_FAULTS),
    runners: () =>
      scheduler.loaded().map(({ model, child, refs }) => ({ name: shortName(model.stored.name), pid: child.pid, port: child.port, refs })),
    loadingPids: () => scheduler.loading(),
    waiting: () => scheduler.waiting(),
    expireAll: () => scheduler.expireAll(),
    poison(model) {
      const found = findModel(options.store, model);
      if ('stored' in found) prepared?.models.poison(found.stored);
      return 'stored' in found && prepared !== null;
    },
    requests: () => Object.fromEntries(counts),
    async close() {
      clearTimeout(begin);
      shut();
      await scheduler.close();
      control?.close();
    },
  };
  const control = options.controlPort === null ? null : await startControl(options.controlPort, fake, () => faults);
  if (faults.refuse) shut();
  return fake;
}

// What happens between bind and the first answer: the prune, and a listing whose failure stays until a restart.
function prepare(options: FakeOptions, engine: Omit<Server, 'models' | 'listError'>): Server {
  let listError: string | null = null;
  renameOldBlobs(options.store);
  try {
    const { corrupt } = listModels(options.store);
    if (!options.noPrune) process.stderr.write(`level=INFO msg="${pruneAtStart(options.store, options.pruneGraceMs, corrupt > 0)}"\n`);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    listError = error.message;
  }
  return { ...engine, models: createModels(options.store), listError };
}
