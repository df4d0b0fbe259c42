// Runs the lease scripts on every Redis server: one dedicated connection each, on the main thread, used for nothing else.
//
// Every call settles exactly once: by the reply, by the server's error, by the closed socket, or by a timer of our own.
// No answer means "unknown", never "not executed": a stalled server runs what it had received as soon as it wakes.
import type { ClientContext, Redis, Result } from 'ioredis';
import type { ScriptsPort, Sink } from '../../agent/ports.ts';
import type { ScriptCall, ScriptFailure } from '../../core/lease/types.ts';
import { type Connection, createConnection, disconnect, duplicatesOf, note, type RedisLog, tookMs, viewOf } from './connection.ts';
import { classifyFailure, describeFailure } from './failure.ts';
import { type RedisServerOptions, type RedisTls, secureContext } from './options.ts';
import { parseReply } from './reply.ts';
import { leaseKey, scriptArgs, scriptNames, scriptText } from './scripts.ts';

declare module 'ioredis' {
  interface RedisCommander<Context extends ClientContext> {
    leaseRead(key: string, ...args: string[]): Result<unknown, Context>;
    leaseCas(key: string, ...args: string[]): Result<unknown, Context>;
    leaseRenew(key: string, ...args: string[]): Result<unknown, Context>;
    leaseRelease(key: string, ...args: string[]): Result<unknown, Context>;
  }
}

/** What the scripts client is made of. */
export type ScriptsOptions = {
  readonly servers: readonly RedisServerOptions[];
  readonly cluster: string;
  readonly commandTimeoutMs: number;
  readonly sink: Sink;
  readonly log: RedisLog;
  /** Monotonic clock for `lastReplyAt` and latencies, ms. Default: CLOCK_MONOTONIC. */
  readonly mono?: () => number;
};

/** The port, plus what only the composition and status ask for. */
export type ScriptsClient = ScriptsPort & {
  /** Pairs of configured names that answered with one run_id: one server listed twice would fake a majority. */
  duplicates(): readonly (readonly [string, string])[];
  /** TLS material for every later connection, in the order of the servers; null = it has none. Throws RedisTlsError. */
  setTls(all: readonly (RedisTls | null)[]): void;
  /** For records.ts: settings and history ride on the same sockets. */
  readonly connections: readonly Connection[];
};

// Behind ioredis' own command timer, for the cases in which that one does not settle the call.
const outerMarginMs = 50;

type Failure = { readonly why: ScriptFailure; readonly text: string };
type Outcome = { readonly raw: unknown } | Failure;

/**
 * Connects to every server and keeps reconnecting. Never waits: a server that is not connected fails its calls at once.
 * Throws RedisTlsError when the TLS files are unusable.
 */
export function connectScripts(options: ScriptsOptions): ScriptsClient {
  const { sink, log, commandTimeoutMs } = options;
  const key = leaseKey(options.cluster);
  const timedOut: Failure = { why: 'timeout', text: `no answer within ${commandTimeoutMs} ms` };
  const mono = options.mono ?? (() => Number(process.hrtime.bigint()) / 1e6);
  const connections = options.servers.map((server) => createConnection(server, commandTimeoutMs, log));
  for (const name of scriptNames) {
    const lua = scriptText(name);
    for (const { redis } of connections) redis.defineCommand(commandNames[name], { lua, numberOfKeys: 1 });
  }
  for (const { redis } of connections) redis.connect().catch(() => {}); // its error event tells

  /** The outcome's failure, or null after the reply was accepted. */
  function accept(connection: Connection, server: number, op: number, outcome: Outcome): Failure | null {
    if (!('raw' in outcome)) return outcome;
    const parsed = parseReply(outcome.raw);
    if ('problem' in parsed) return { why: 'other', text: parsed.problem };
    connection.runId = parsed.snap.run;
    const twin = connections.find((other) => other !== connection && other.runId === connection.runId);
    if (twin !== undefined) {
      note(twin, twinText(connection.name), log);
      return { why: 'other', text: twinText(twin.name) };
    }
    connection.lastReplyAt = mono();
    note(connection, '', log);
    sink({ k: 'reply', server, op, code: parsed.code, snap: parsed.snap });
    return null;
  }

  function run(server: number, op: number, call: ScriptCall): void {
    const connection = connections[server];
    if (connection === undefined) throw new RangeError(`no redis server ${server} in the configuration`);
    const settle = once((outcome: Outcome) => {
      const failure = accept(connection, server, op, outcome);
      if (failure === null) return;
      note(connection, failure.text, log);
      sink({ k: 'fail', server, op, why: failure.why });
    });
    if (connection.redis.status !== 'ready') {
      // Not from inside the turn that ordered it, and never as a microtask: the event loop must get its turn in between.
      setImmediate(settle, { why: connection.offlineWhy, text: connection.lastError || 'not connected' });
      return;
    }
    const timer = setTimeout(settle, commandTimeoutMs + outerMarginMs, timedOut);
    void ask(connection, call).then((outcome) => {
      clearTimeout(timer);
      settle(outcome);
    });
  }

  async function ask(connection: Connection, call: ScriptCall): Promise<Outcome> {
    const sentAt = mono();
    try {
      const raw = await send(connection.redis, key, call);
      tookMs(connection, mono() - sentAt);
      return { raw };
    } catch (error) {
      const why = classifyFailure(error);
      return why === 'timeout' ? timedOut : { why, text: describeFailure(error, connection.secret) };
    }
  }

  return {
    run,
    view: () => connections.map(viewOf),
    duplicates: () => duplicatesOf(connections),
    setTls: (all) => {
      const contexts = all.map((tls, i) => (tls === null ? null : secureContext(connections[i]?.name ?? '', tls)));
      connections.forEach(({ redis }, i) => {
        const context = contexts[i];
        // ioredis reads this object at each connect.
        if (redis.options.tls !== undefined && context != null) Object.assign(redis.options.tls, { secureContext: context });
      });
    },
    connections,
    close: async () => {
      await Promise.all(connections.map(disconnect));
    },
  };
}

function twinText(other: string): string {
  return `answers with the run_id of ${other}: both entries reach one Redis server, neither is counted; list each server once`;
}

const commandNames = { read: 'leaseRead', cas: 'leaseCas', renew: 'leaseRenew', release: 'leaseRelease' } as const;

function send(redis: Redis, key: string, call: ScriptCall): Promise<unknown> {
  return redis[commandNames[call.script]](key, ...scriptArgs(call));
}

function once<T>(then: (value: T) => void): (value: T) => void {
  let open = true;
  return (value) => {
    if (!open) return;
    open = false;
    then(value);
  };
}
