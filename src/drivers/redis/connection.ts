// One Redis server's connection and what is remembered of it for status: no call is made here.
import { Redis } from 'ioredis';
import type { RedisView } from '../../agent/ports.ts';
import type { ScriptFailure } from '../../core/lease/types.ts';
import { classifyFailure, describeFailure } from './failure.ts';
import { clientOptions, type RedisServerOptions } from './options.ts';

/** Takes a line for the log: a stable event id, a sentence, facts. */
export type RedisLog = (
  level: 'debug' | 'info' | 'warn',
  event: string,
  text: string,
  fields: Readonly<Record<string, string | number | boolean>>,
) => void;

/** A connection and what its last calls told. */
export type Connection = {
  readonly name: string;
  readonly secret: string;
  readonly redis: Redis;
  runId: string;
  latencyMs: number;
  /** Durations of the newest answered calls, ms, in a ring. */
  readonly samples: Float64Array;
  taken: number;
  /** '' = the last call was answered. */
  lastError: string;
  lastReplyAt: number;
  /** What a call on the unready connection is told. */
  offlineWhy: ScriptFailure;
  closing: boolean;
};

const closeWaitMs = 400;
const latencyWeight = 0.2;
const samplesMax = 256;

/** Makes the connection, not yet connected. Throws RedisTlsError. */
export function createConnection(server: RedisServerOptions, commandTimeoutMs: number, log: RedisLog): Connection {
  const connection: Connection = {
    name: server.name,
    secret: server.password,
    redis: new Redis(clientOptions(server, commandTimeoutMs)),
    runId: '',
    latencyMs: 0,
    samples: new Float64Array(samplesMax),
    taken: 0,
    lastError: '',
    lastReplyAt: Number.NEGATIVE_INFINITY,
    offlineWhy: 'closed',
    closing: false,
  };
  watch(connection, log);
  return connection;
}

/** Keeps the reason of a missing connection: a refused password shall not look like a dead host. */
function watch(connection: Connection, log: RedisLog): void {
  const { redis } = connection;
  redis.on('error', (error: unknown) => {
    const why = classifyFailure(error);
    connection.offlineWhy = why === 'other' || why === 'timeout' ? 'closed' : why;
    note(connection, describeFailure(error, connection.secret), log);
  });
  redis.on('ready', () => {
    connection.offlineWhy = 'closed';
    log('debug', 'redis.connected', `redis ${connection.name}: connected`, { server: connection.name });
  });
  redis.on('close', () => {
    if (connection.lastError === '' && !connection.closing) note(connection, 'connection closed', log);
  });
}

/** Sets the last error, '' = answered. Logs when a server turns bad or good, not each failure. */
export function note(connection: Connection, text: string, log: RedisLog): void {
  const before = connection.lastError;
  connection.lastError = text;
  if ((before === '') === (text === '')) return;
  const fields = { server: connection.name };
  if (text === '') log('info', 'redis.answers', `redis ${connection.name}: answers again`, fields);
  else log('warn', 'redis.fails', `redis ${connection.name}: ${text}`, fields);
}

/** Takes the duration of one answered call, ms, into the average and the window. */
export function tookMs(connection: Connection, ms: number): void {
  connection.samples[connection.taken % samplesMax] = ms;
  connection.taken += 1;
  connection.latencyMs += connection.latencyMs === 0 ? ms : latencyWeight * (ms - connection.latencyMs);
}

/** What status shows of the server. */
export function viewOf(connection: Connection): RedisView {
  return {
    server: connection.name,
    runId: connection.runId,
    up: connection.redis.status === 'ready' && connection.lastError === '',
    latencyMs: connection.latencyMs,
    ...percentilesOf(connection),
    lastError: connection.lastError,
    lastReplyAt: connection.lastReplyAt,
  };
}

function percentilesOf(connection: Connection): { p50Ms: number; p99Ms: number } {
  const sorted = connection.samples.slice(0, Math.min(connection.taken, samplesMax)).sort();
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Names of the entries that last answered with one run_id, in pairs. */
export function duplicatesOf(connections: readonly Connection[]): [string, string][] {
  return connections.flatMap((one, i) =>
    connections
      .slice(i + 1)
      .filter((other) => one.runId !== '' && one.runId === other.runId)
      .map((other): [string, string] => [one.name, other.name]),
  );
}

/** Ends a connection in bounded time. Commands in flight are rejected by ioredis, at the latest settled by their timers. */
export function disconnect(connection: Connection): Promise<void> {
  const { redis } = connection;
  connection.closing = true;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, closeWaitMs);
  redis.once('end', resolve);
  if (redis.status === 'end' || redis.status === 'reconnecting') resolve();
  redis.disconnect();
  return promise.finally(() => clearTimeout(timer));
}
