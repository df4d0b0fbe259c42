// Replies with the header names, order and framing of the real server. Node's own additions are kept out.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Faults } from './faults.ts';
import { goJson } from './go.ts';

/** One request and the way back. `signal` aborts when the client has gone. */
export type Exchange = {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly method: string;
  readonly path: string;
  readonly signal: AbortSignal;
  /** Headers that CORS adds, in front. */
  readonly extra: readonly (readonly [string, string])[];
  readonly faults: () => Faults;
};

/** A stream of chunks. `send` writes one chunk as it is given. */
export type Stream = { send(text: string): void; end(): void; readonly open: boolean };

/** Content types of the server. */
export const TYPE = {
  gin: 'application/json; charset=utf-8',
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  sse: 'text/event-stream',
  text: 'text/plain; charset=utf-8',
  bare: 'text/plain',
} as const;

const BODY_MAX_BYTES = 64 * 1024 * 1024;

/** A body of known length. */
export function reply(
  x: Exchange,
  status: number,
  type: string | null,
  body: string,
  extra: readonly (readonly [string, string])[] = [],
): void {
  const bytes = Buffer.from(body);
  head(x, status, [...extra, ...(type === null ? [] : [['Content-Type', type] as const])], [['Content-Length', String(bytes.length)]]);
  x.res.end(x.method === 'HEAD' ? undefined : bytes);
}

/** `{"error":text}` as gin writes it. */
export function refuse(x: Exchange, status: number, text: string): void {
  reply(x, status, TYPE.gin, goJson({ error: text }));
}

/** A JSON object as gin writes it. */
export function json(x: Exchange, status: number, value: unknown): void {
  reply(x, status, TYPE.gin, goJson(value));
}

/** What Go's server holds back before it knows the length. */
const HELD_BYTES = 2048;

/** The same, with a body too long for that in one chunk. */
export function longJson(x: Exchange, status: number, value: unknown): void {
  const text = goJson(value);
  if (Buffer.byteLength(text) <= HELD_BYTES) {
    reply(x, status, TYPE.gin, text);
    return;
  }
  const out = stream(x, status, TYPE.gin);
  out.send(text);
  out.end();
}

/** A status and nothing else; `closing` announces the end of the connection. */
export function empty(x: Exchange, status: number, closing = false): void {
  head(x, status, [], [['Content-Length', '0'], ...(closing ? [['Connection', 'close'] as const] : [])]);
  x.res.end();
}

/** A chunked reply whose chunks are what is sent. The headers leave with the first chunk. */
export function stream(x: Exchange, status: number, type: string): Stream {
  let begun = false;
  function begin(): void {
    if (begun) return;
    begun = true;
    head(x, status, [['Content-Type', type]], []);
  }
  return {
    // Framed here, since Node joins what is written within one tick into one chunk.
    send(text) {
      begin();
      x.res.flushHeaders();
      const bytes = Buffer.from(text);
      if (bytes.length > 0)
        x.res.socket?.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]));
    },
    end() {
      begin();
      x.res.end();
    },
    get open() {
      return !x.signal.aborted;
    },
  };
}

/** A stream of JSON lines, one object in one chunk; the fault `segmentation` cuts or joins them. */
export function ndjson(x: Exchange, status = 200): { line(value: unknown): void; end(): void; readonly open: boolean } {
  const out = stream(x, status, status === 200 ? TYPE.ndjson : TYPE.json);
  let held = '';
  function flush(): void {
    if (held !== '') out.send(held);
    held = '';
  }
  return {
    line(value) {
      // An error in place of a stream has no line feed.
      const text = goJson(value) + (status === 200 ? '\n' : '');
      const how = x.faults().segmentation;
      if (how === 'split') {
        const middle = Math.floor(text.length / 2);
        out.send(text.slice(0, middle));
        out.send(text.slice(middle));
      } else if (how === 'join' && held === '') held = text;
      else {
        held += text;
        flush();
      }
    },
    end() {
      flush();
      out.end();
    },
    get open() {
      return out.open;
    },
  };
}

/** The headers: what a handler set in alphabetic order, then Date, then the framing. */
export function head(
  x: Exchange,
  status: number,
  own: readonly (readonly [string, string])[],
  framing: readonly (readonly [string, string])[],
): void {
  const sorted = [...x.extra, ...own].sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
  const all = [...sorted, ['Date', new Date().toUTCString()] as const, ...framing];
  x.res.removeHeader('connection');
  x.res.sendDate = false;
  x.res.writeHead(status, all.flat());
}

/** The body as text; '' when there is none. Refuses more than 64 MiB by an error. */
export async function bodyOf(x: Exchange): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of x.req) {
    size += part.length;
    if (size > BODY_MAX_BYTES) throw new Error('body too large');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
