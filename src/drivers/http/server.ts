// The HTTP port: health checks for balancers, metrics, events. Bounded in size, time and number; a port in use never ends the agent.
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import type { Access, Answered, Route } from './route.ts';

/** Options of the port. */
export type HttpOptions = {
  /** ADDRESS:PORT or [ADDRESS]:PORT. */
  readonly listen: string;
  /** Bearer token; '' = routes that need one are refused. */
  readonly token: string;
  readonly routes: readonly Route[];
  /** Host names, beside addresses and localhost, under which a browser may come. */
  readonly names: readonly string[];
  readonly log: (level: 'info' | 'warn' | 'error', event: string, text: string, fields: Readonly<Record<string, string | number>>) => void;
  /** Between two tries where the port is in use. */
  readonly retryMs?: number;
};

/** The open port. */
export type HttpServer = {
  /** Null while it does not listen. */
  port(): number | null;
  close(): Promise<void>;
};

const RETRY_MS = 10_000;
const CONNECTIONS_MAX = 128;
const HEADER_BYTES_MAX = 8192;
const BODY_BYTES_MAX = 4096;
const HEADERS_MS = 5000;
const REQUEST_MS = 10_000;
const KEEP_ALIVE_MS = 20_000;

/** Listens, and tries again as long as it cannot. Resolves after the first try. */
export async function openHttp(options: HttpOptions): Promise<HttpServer> {
  const { host, port } = splitListen(options.listen);
  const loopback = isLoopback(host);
  let server: Server | null = null;
  let retry: NodeJS.Timeout | null = null;
  let closed = false;
  let told = '';

  async function listen(): Promise<void> {
    const next = serverOf(options, loopback);
    const error = await listening(next, host, port);
    if (closed) {
      next.close();
      return;
    }
    if (error === null) {
      server = next;
      if (told !== '') options.log('info', 'http_listens', `HTTP listens on ${options.listen}`, {});
      return;
    }
    // Health checks fail closed meanwhile; a node that could serve must not stay away for want of a port.
    if (told !== error)
      options.log('error', 'http_failed', `HTTP cannot listen on ${options.listen}: ${error}; trying again. Try: change http.listen`, {});
    told = error;
    retry = setTimeout(() => void listen(), options.retryMs ?? RETRY_MS);
  }

  await listen();
  return {
    port: () => (server === null ? null : ((server.address() as AddressInfo | null)?.port ?? null)),
    async close() {
      closed = true;
      if (retry !== null) clearTimeout(retry);
      const open = server;
      if (open === null) return;
      open.closeAllConnections();
      await new Promise<void>((resolve) => open.close(() => resolve()));
    },
  };
}

function listening(server: Server, host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port }, () => resolve(null));
  });
}

function serverOf(options: HttpOptions, loopback: boolean): Server {
  const server = createServer({
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 5000,
    insecureHTTPParser: false,
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on('request', (request, response) => {
    handle(request, response, options, loopback).catch((error: unknown) => {
      options.log('error', 'http_error', `${request.method ?? ''} ${pathOf(request)}: ${String(error)}`, {});
      if (!response.headersSent) write(response, failure(500, 'the agent failed to answer; its log says why'), request.method);
      else response.destroy();
    });
  });
  return server;
}

async function handle(request: IncomingMessage, response: ServerResponse, options: HttpOptions, loopback: boolean): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://agent');
  const here = options.routes.filter((route) => route.path === url.pathname);
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const route = here.find((one) => one.method === method);
  if (route === undefined) {
    const allow = here.map((one) => one.method).join(', ');
    const answer = here.length === 0 ? failure(404, 'no such page') : failure(405, `only ${allow} here`);
    write(response, answer, request.method, allow === '' ? {} : { allow });
    return;
  }
  const refused = refusalOf(route.access, request, options, loopback);
  if (refused !== null) {
    write(response, refused, request.method);
    return;
  }
  const body = await bodyOf(request);
  if (body === null) {
    write(response, failure(413, `at most ${BODY_BYTES_MAX} bytes`), request.method, { connection: 'close' });
    return;
  }
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const answer = await route.answer({ query: url.searchParams, body, signal: gone.signal });
  if (answer.k === 'stream' && request.method !== 'HEAD') answer.open(response, request);
  else write(response, answer.k === 'stream' ? { k: 'text', status: 200, type: 'text/event-stream', text: '' } : answer, request.method);
}

function refusalOf(access: Access, request: IncomingMessage, options: HttpOptions, loopback: boolean): Answered | null {
  if (access === 'open') return null;
  if (access === 'tokenOffLoopback' && loopback) {
    return isKnownHost(request.headers.host ?? '', options.names) ? null : failure(403, 'this host name is not known here');
  }
  if (options.token === '') return failure(403, 'no token is configured: set http.tokenFile');
  const given = request.headers.authorization ?? '';
  const bearer = /^Bearer (\S{1,512})$/i.exec(given)?.[1] ?? '';
  if (isToken(bearer, options)) return null;
  if (access === 'token') return failure(403, 'the bearer token of http.tokenFile is required');
  // A browser has no other way to bring the token. For reading only: it would bring it to a change that another site's page asks for, too.
  if (isToken(passwordOf(given), options)) return null;
  const answer = failure(401, 'the token of http.tokenFile is required, as bearer token or as the password of any user');
  return { ...answer, headers: { 'www-authenticate': 'Basic realm="ollama-ha", charset="UTF-8"' } };
}

function isToken(given: string, { token }: HttpOptions): boolean {
  // Digests have one length, so the comparison takes one time.
  return timingSafeEqual(digest(given), digest(token));
}

function passwordOf(authorization: string): string {
  const text = Buffer.from(/^Basic ([\w+/=]{1,1024})$/i.exec(authorization)?.[1] ?? '', 'base64').toString('utf8');
  return text.slice(text.indexOf(':') + 1);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function isKnownHost(header: string, names: readonly string[]): boolean {
  const name = header
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
  return isIP(name) !== 0 || name === 'localhost' || names.includes(name);
}

/** Null: too large. */
async function bodyOf(request: IncomingMessage): Promise<string | null> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) return null;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function write(response: ServerResponse, answer: Answered, method = 'GET', more: Readonly<Record<string, string>> = {}): void {
  if (answer.k === 'stream') return;
  const text = answer.k === 'json' ? `${JSON.stringify(answer.value, null, 2)}\n` : answer.text;
  response.writeHead(answer.status, {
    'content-type': answer.k === 'json' ? 'application/json' : answer.type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...answer.headers,
    ...more,
  });
  response.end(method === 'HEAD' ? undefined : text);
}

function failure(status: number, message: string): Extract<Answered, { k: 'json' }> {
  return { k: 'json', status, value: { error: message } };
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?')[0]?.slice(0, 200) ?? '';
}

function splitListen(listen: string): { host: string; port: number } {
  const at = listen.lastIndexOf(':');
  return { host: listen.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(listen.slice(at + 1)) };
}

/** Only this machine reaches it. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
