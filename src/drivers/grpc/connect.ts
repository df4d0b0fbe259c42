// One outgoing connection to one peer, kept for as long as it is wanted. grpc-js would reconnect by itself, but without a connect timeout, with
// backoffs up to two minutes and with a pool that remembers failures. So: probe by our own handshake, create a client, use it until it breaks,
// throw it away, begin again.
import { Client, connectivityState, credentials } from '@grpc/grpc-js';
import { CALLS_ONLY, CLIENT_OPTIONS } from './options.ts';
import { handshake, PROBE_MS, type ProbeTarget } from './probe.ts';
import type { LiveIdentity, TlsIdentity } from './tls.ts';

const READY_MS = 700;
const RETRY_MIN_MS = 100;
// Also while a peer is dead: one SYN per second is cheap, and a peer back after an outage must be linked within 1.5 s.
const RETRY_MAX_MS = 1_000;
const LONG_GONE_MS = 600_000;
const LONG_GONE_RETRY_MS = 5_000;
// A client closed while connecting leaks its socket, so a peer that shakes hands but never gets ready is tried less and less often.
const RECREATE_MIN_MS = 1_000;
const RECREATE_MAX_MS = 5_000;
const SETTLED_MS = 2_000;

/** What a connection needs. `use` works with a ready client until it is broken or `signal` ends; it must never reject. */
export type ConnectOptions = {
  readonly target: () => ProbeTarget;
  readonly identity: LiveIdentity;
  /** The connection will carry a stream. */
  readonly streams: boolean;
  readonly clock: () => number;
  readonly use: (client: Client, signal: AbortSignal) => Promise<void>;
  /** Told when attempts begin to fail, and when they succeed again. */
  readonly onChange: (up: boolean) => void;
  /** The peer is there, but its certificate or ours is refused, and why. */
  readonly onMismatch: (why: string) => void;
};

/** A connection that is kept. */
export type Connection = {
  /** The ready client, or null. */
  client(): Client | null;
  /** The peer was heard: try at once. */
  nudge(): void;
  close(): void;
};

/** Starts to connect, and goes on until closed. */
export function keepConnected(options: ConnectOptions): Connection {
  const { clock } = options;
  const life = new AbortController();
  let current: Client | null = null;
  let wake: (() => void) | null = null;
  let nudged = false;
  let failing = false;

  async function run(): Promise<void> {
    let failures = 0;
    let unready = 0;
    let upAt = clock();
    while (!life.signal.aborted) {
      const startedAt = clock();
      nudged = false;
      const outcome = await attempt();
      if (outcome !== 'refused' && outcome !== 'unready') {
        upAt = clock();
        nudged = false;
        unready = 0;
        failures = outcome === 'settled' ? 0 : failures + 1;
      } else {
        failures += 1;
        unready = outcome === 'unready' ? unready + 1 : unready;
        tell(false);
      }
      const pauseMs = outcome === 'unready' ? recreateMs(unready) : retryMs(failures, clock() - upAt);
      await pause(startedAt + pauseMs - clock(), outcome !== 'unready');
    }
  }

  async function attempt(): Promise<'refused' | 'unready' | 'short' | 'settled'> {
    const target = options.target();
    if (!(await handshake(target, PROBE_MS, life.signal, options.onMismatch))) return 'refused';
    const client = clientFor(target, options.identity.current(), options.streams);
    const readyAt = clock();
    try {
      if (!(await becomesReady(client))) return 'unready';
      current = client;
      tell(true);
      await options.use(client, life.signal);
    } finally {
      current = null;
      client.close();
    }
    return clock() - readyAt >= SETTLED_MS ? 'settled' : 'short';
  }

  function tell(up: boolean): void {
    if (failing === !up || life.signal.aborted) return;
    failing = !up;
    options.onChange(up);
  }

  function pause(ms: number, mayBeNudged: boolean): Promise<void> {
    if (life.signal.aborted || (nudged && mayBeNudged)) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        wake = null;
        resolve();
      };
      const timer = setTimeout(end, Math.max(10, ms));
      wake = () => {
        if (mayBeNudged || life.signal.aborted) end();
      };
    });
  }

  void run();
  return {
    client: () => current,
    nudge: () => {
      nudged = true;
      wake?.();
    },
    close: () => {
      life.abort();
      wake?.();
    },
  };
}

/** Settles when a ready client is ready no more, or the signal ends. Never rejects. */
export function untilBroken(client: Client, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    const watch = () => {
      try {
        const channel = client.getChannel();
        if (channel.getConnectivityState(false) !== connectivityState.READY) return resolve();
        channel.watchConnectivityState(connectivityState.READY, Number.POSITIVE_INFINITY, watch);
      } catch {
        resolve();
      }
    };
    watch();
  });
}

function becomesReady(client: Client): Promise<boolean> {
  return new Promise((resolve) => {
    // grpc-js deadlines are wall-clock dates, turned into a relative timer right here.
    client.waitForReady(Date.now() + READY_MS, (error) => resolve(error === undefined || error === null));
  });
}

function clientFor(target: ProbeTarget, identity: TlsIdentity, streams: boolean): Client {
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  return new Client(`dns:${host}:${target.port}`, credentials.createSsl(identity.ca, identity.key, identity.cert), {
    ...CLIENT_OPTIONS,
    ...(streams ? {} : CALLS_ONLY),
    'grpc.ssl_target_name_override': target.serverName,
    'grpc.default_authority': target.serverName,
  });
}

function retryMs(failures: number, goneMs: number): number {
  if (goneMs > LONG_GONE_MS) return LONG_GONE_RETRY_MS;
  return Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
}

function recreateMs(unready: number): number {
  return Math.min(RECREATE_MAX_MS, RECREATE_MIN_MS * Math.max(1, unready));
}
