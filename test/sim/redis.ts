// The Redis servers of the world: processes that stop, stall and lose data, around the model of the record (redis-model/).
import type { ScriptCall } from '../../src/core/lease/types.ts';
import {
  createRedisModel,
  execute,
  flushAll,
  type ModelResult,
  type RedisFault,
  type RedisModel,
  type RedisSnapshot,
  restart,
  setFault,
  snapshot,
} from './redis-model/model.ts';

/** One server. Times are world ms. */
export type Server = {
  readonly index: number;
  readonly model: RedisModel;
  up: boolean;
  /** Counts connections: whatever was under way in an older one is lost. */
  conn: number;
  stallUntil: number;
  /** Older data, oldest first, for restarts that lose the newest writes. */
  readonly history: { readonly at: number; readonly data: RedisSnapshot }[];
  /** Times data was lost by a restart or FLUSHALL. */
  losses: number;
};

import type { RedisKind } from './types.ts';

const HISTORY_MAX = 256;

/** A server that was started with no data. */
export function createServer(index: number): Server {
  const model = createRedisModel({ runIdSeed: index + 1 });
  return { index, model, up: true, conn: 1, stallUntil: 0, history: [{ at: 0, data: snapshot(model) }], losses: 0 };
}

function remember(server: Server, at: number): void {
  server.history.push({ at, data: snapshot(server.model) });
  if (server.history.length > 2 * HISTORY_MAX) server.history.splice(0, HISTORY_MAX);
}

/** Runs one script at world time `at`. */
export function run(server: Server, call: ScriptCall, at: number, kind: RedisKind): ModelResult {
  const before = server.model.snap;
  if (kind === 'noTombstone' && call.script === 'read') return { code: 'ok', snap: before };
  const careless = kind === 'noRun' && (call.script === 'cas' || call.script === 'renew');
  const result = execute(server.model, careless ? { ...call, run: before.run } : call);
  if (server.model.snap !== before) remember(server, at);
  return result;
}

/** The process dies: connections break, nothing is answered. */
export function stop(server: Server): void {
  server.up = false;
  server.conn += 1;
}

/** A new process with the data of world time `asOf`; -Infinity = none. */
export function start(server: Server, at: number, asOf: number): void {
  const newest = snapshot(server.model);
  let data: RedisSnapshot | null = null;
  for (const state of server.history) if (state.at <= asOf) data = state.data;
  restart(server.model, data === null ? 'empty' : { rollbackTo: data });
  if (data === null || data.n !== newest.n) server.losses += 1;
  server.up = true;
  server.conn += 1;
  server.stallUntil = 0;
  remember(server, at);
}

/** FLUSHALL, or eviction: the record is gone, the process is the same. */
export function flush(server: Server, at: number): void {
  flushAll(server.model);
  server.losses += 1;
  remember(server, at);
}

/** Begins a refusal, or ends whichever there is. */
export function refuse(server: Server, fault: RedisFault): void {
  setFault(server.model, fault);
}
