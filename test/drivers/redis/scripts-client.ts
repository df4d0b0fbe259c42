// The real scripts client with its facts made awaitable: each call of a test gets its own answer.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Input } from '../../../src/core/io.ts';
import type { ScriptCall, ScriptCode, ScriptFailure, Snap } from '../../../src/core/lease/types.ts';
import { connectScripts, type ScriptsClient } from '../../../src/drivers/redis/client.ts';
import type { RedisServerOptions } from '../../../src/drivers/redis/options.ts';
import { cluster, password } from './redis-process.ts';

export type Answer = { readonly code: ScriptCode; readonly snap: Snap } | { readonly failure: ScriptFailure };

export type AwaitableClient = {
  readonly client: ScriptsClient;
  /** Everything that was logged. */
  readonly lines: readonly string[];
  /** Every fact the sink took, in order. */
  readonly facts: readonly Input[];
  ask(server: number, call: ScriptCall): Promise<Answer>;
  /** Resolves when the server answers, by a call that writes nothing. */
  answering(server: number): Promise<Answer>;
};

/** A call that never writes: nobody owns anything under this name. */
export const idle: ScriptCall = { script: 'release', me: 'nobody#0', epoch: 0, nonce: 'nobody#0:0', heir: '' };

export function plainServer(name: string, port: number, change: Partial<RedisServerOptions> = {}): RedisServerOptions {
  return { name, host: '127.0.0.1', port, username: 'ha', password, tls: null, ...change };
}

export function awaitableClient(servers: readonly RedisServerOptions[], commandTimeoutMs = 150): AwaitableClient {
  const waiting = new Map<number, (answer: Answer) => void>();
  const facts: Input[] = [];
  const lines: string[] = [];
  let op = 0;
  const client = connectScripts({
    servers,
    cluster,
    commandTimeoutMs,
    sink: (input) => {
      facts.push(input);
      if (input.k === 'reply') waiting.get(input.op)?.({ code: input.code, snap: input.snap });
      if (input.k === 'fail') waiting.get(input.op)?.({ failure: input.why });
    },
    log: (level, event, text) => lines.push(`${level} ${event} ${text}`),
  });
  const ask = (server: number, call: ScriptCall): Promise<Answer> => {
    op += 1;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    waiting.set(op, resolve);
    client.run(server, op, call);
    return promise;
  };
  return {
    client,
    lines,
    facts,
    ask,
    answering: async (server) => {
      const deadline = performance.now() + 8000;
      while (performance.now() < deadline) {
        const answer = await ask(server, idle);
        if ('code' in answer) return answer;
        await sleep(10);
      }
      throw new Error(`server ${server} does not answer: ${client.view()[server]?.lastError}`);
    },
  };
}
