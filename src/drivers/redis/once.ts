// One command on one server, for the stop hook: a whole client takes longer to load (50-100 ms) than the hook has for everything.
// No reconnecting, no queue: one connection, AUTH, one EVAL at the right moment, the end.
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import RedisParser from 'redis-parser';
import { type RedisServerOptions, tlsOptions } from './options.ts';

/** A connection under way. */
export type OnceConnection = {
  /** Why there is no connection that the server accepted; '' = there is. Never rejects. */
  readonly ready: Promise<string>;
  /** Runs a script with one key. Rejects with the server's words, when the connection breaks, or after `limitMs`. */
  evaluate(script: string, key: string, args: readonly string[], limitMs: number): Promise<unknown>;
  end(): void;
};

type Waiting = { readonly resolve: (reply: unknown) => void; readonly reject: (error: Error) => void };

/** Starts to connect; a connection that is not accepted within `connectMs` counts as failed. Throws when the TLS files cannot be used. */
export function connectOnce(server: RedisServerOptions, connectMs: number): OnceConnection {
  const { host, port, tls } = server;
  const socket: Socket = tls === null ? connectTcp({ host, port }) : connectTls({ host, port, ...tlsOptions(server.name, tls) });
  const waiting: Waiting[] = [];
  let broken: Error | null = null;
  const fail = (error: Error) => {
    broken ??= error;
    for (const { reject } of waiting.splice(0)) reject(error);
  };
  const parser = new RedisParser({
    returnReply: (reply) => waiting.shift()?.resolve(reply),
    returnError: (error) => waiting.shift()?.reject(error),
    returnFatalError: (error) => socket.destroy(error),
  });
  socket.setNoDelay(true);
  socket.on('data', (bytes: Buffer) => parser.execute(bytes));
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the connection was closed')));

  function send(words: readonly string[], limitMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (broken !== null) return reject(broken);
      const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${limitMs} ms`)), limitMs);
      const settled = <T>(how: (value: T) => void) => {
        return (value: T) => {
          clearTimeout(timer);
          how(value);
        };
      };
      waiting.push({ resolve: settled(resolve), reject: settled(reject) });
      socket.write(encoded(words));
    });
  }

  const hello = server.password === '' ? ['PING'] : ['AUTH', ...(server.username === '' ? [] : [server.username]), server.password];
  const ready = send(hello, connectMs).then(
    () => '',
    (error: Error) => error.message,
  );
  return {
    ready,
    evaluate: (script, key, args, limitMs) => send(['EVAL', script, '1', key, ...args], limitMs),
    end: () => void socket.destroy(),
  };
}

/** A command on the wire: an array of byte strings. */
function encoded(words: readonly string[]): string {
  return [`*${words.length}\r\n`, ...words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)].join('');
}
