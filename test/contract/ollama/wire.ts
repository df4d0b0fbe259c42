// An HTTP/1.1 client that sees what the recorder saw: header order and case, one entry per chunk, and how the reply ended.
import { connect } from 'node:net';

/** What goes out. `headers` in order; the length of the body is recounted. */
export type WireRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | Buffer | null;
};

/** What came back. `status` null = no header ever came. */
export type WireReply = {
  readonly status: number | null;
  readonly headers: readonly (readonly [string, string])[];
  readonly chunks: readonly string[] | null;
  readonly body: string;
  readonly end: string;
  /** ms from the open connection to the first byte, and when each chunk was complete. */
  readonly firstByteMs: number;
};

/** When the client itself hangs up, when it gives up, and where the server is (default 127.0.0.1). */
export type WireLimits = {
  readonly host?: string;
  readonly closeAfterChunks?: number;
  readonly closeAfterMs?: number;
  readonly timeoutMs?: number;
};

/** Sends one request on its own connection. Never rejects. */
export function send(
  port: number,
  request: WireRequest,
  limits: WireLimits = {},
  seen: (chunks: number) => void = () => undefined,
): Promise<WireReply> {
  return new Promise((settle) => {
    const socket = connect({ port, host: limits.host ?? '127.0.0.1' });
    const start = performance.now();
    const reader = createReader(request.method);
    let end = '';
    let firstByteMs = Number.NaN;
    const finish = (how: string): void => {
      if (end === '') end = how;
      socket.destroy();
    };
    const timers = [
      setTimeout(() => finish('timeout'), limits.timeoutMs ?? 10_000),
      ...(limits.closeAfterMs === undefined ? [] : [setTimeout(() => finish('client closed'), limits.closeAfterMs)]),
    ];
    socket.on('connect', () => socket.write(encode(request)));
    socket.on('data', (bytes: Buffer) => {
      if (Number.isNaN(firstByteMs)) firstByteMs = performance.now() - start;
      reader.push(bytes);
      seen(reader.chunks().length);
      if (reader.complete()) finish('complete');
      else if (limits.closeAfterChunks !== undefined && reader.chunks().length >= limits.closeAfterChunks) finish('client closed');
    });
    socket.on('error', (error) => finish('code' in error && error.code === 'ECONNREFUSED' ? 'ConnectionRefusedError' : reader.eof()));
    socket.on('close', () => {
      finish(reader.eof());
      for (const timer of timers) clearTimeout(timer);
      settle({ ...reader.result(), end, firstByteMs });
    });
  });
}

function encode(request: WireRequest): Buffer {
  const body = request.body === null ? Buffer.alloc(0) : Buffer.from(request.body);
  const headers = request.headers.filter(([name]) => !/^(content-length|transfer-encoding)$/i.test(name));
  const length = request.body === null ? [] : [['Content-Length', String(body.length)] as const];
  const lines = [...headers, ...length].map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${request.method} ${request.path} HTTP/1.1\r\n${lines.join('')}\r\n`), body]);
}

type Reader = {
  push(bytes: Buffer): void;
  complete(): boolean;
  chunks(): readonly string[];
  eof(): string;
  result(): Omit<WireReply, 'end' | 'firstByteMs'>;
};

function createReader(method: string): Reader {
  let raw: Buffer = Buffer.alloc(0);
  let at = -1;
  let status: number | null = null;
  let headers: (readonly [string, string])[] = [];
  let last = false;
  const chunks: string[] = [];

  const header = (name: string) => headers.find(([key]) => key.toLowerCase() === name)?.[1];
  const chunked = () => header('transfer-encoding') === 'chunked';
  const bodyless = () => method === 'HEAD' || status === 204;

  function parseHead(): void {
    const end = raw.indexOf('\r\n\r\n');
    if (at >= 0 || end < 0) return;
    const [first = '', ...lines] = raw.toString('latin1', 0, end).split('\r\n');
    status = Number(first.split(' ')[1]);
    headers = lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()] as const);
    at = end + 4;
  }

  function parseChunks(): void {
    while (at >= 0 && chunked() && !last) {
      const line = raw.indexOf('\r\n', at);
      if (line < 0) return;
      const size = Number.parseInt(raw.toString('latin1', at, line), 16);
      if (raw.length < line + 4 + size) return;
      if (size === 0) last = true;
      else chunks.push(raw.toString('utf8', line + 2, line + 2 + size));
      at = line + 4 + size;
    }
  }

  return {
    push(bytes) {
      raw = Buffer.concat([raw, bytes]);
      parseHead();
      parseChunks();
    },
    complete: () => at >= 0 && (bodyless() || (chunked() ? last : raw.length - at >= Number(header('content-length') ?? 0))),
    chunks: () => chunks,
    eof: () => (status === null ? 'eof before any byte' : 'eof before the final chunk'),
    result: () => ({ status, headers, chunks: chunked() ? chunks : null, body: chunked() || at < 0 ? '' : raw.toString('utf8', at) }),
  };
}
