// The control interface: GET /state, POST /fault, /clear, /signal, /poison, /expire. JSON over HTTP on loopback; README.md lists what each does.
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Faults, faultsOf } from './faults.ts';
import type { FakeOllama } from './server.ts';

const BODY_MAX_BYTES = 65_536;

/** Serves the control interface of one fake. */
export async function startControl(port: number, fake: FakeOllama, faults: () => Faults): Promise<{ readonly url: string; close(): void }> {
  const server = createServer((req, res) => {
    answer(req, fake, faults).then(
      ([status, body]) => res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body)),
      (error: unknown) => res.writeHead(400, { 'Content-Type': 'application/json' }).end(JSON.stringify({ error: String(error) })),
    );
  });
  await new Promise<void>((settle, fail) => {
    server.once('error', fail);
    server.listen({ host: '127.0.0.1', port }, settle);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(req: IncomingMessage, fake: FakeOllama, faults: () => Faults): Promise<readonly [number, unknown]> {
  const state = () => ({
    pid: process.pid,
    port: fake.port,
    faults: faults(),
    runners: fake.runners(),
    loading: fake.loadingPids(),
    waiting: fake.waiting(),
    requests: fake.requests(),
  });
  if (req.method === 'GET' && req.url === '/state') return [200, state()];
  if (req.method === 'POST' && req.url === '/clear') {
    await fake.clear();
    return [200, state()];
  }
  if (req.method !== 'POST' || !/^\/(fault|signal|poison|expire)$/.test(req.url ?? ''))
    return [404, { error: 'know GET /state, POST /fault, /clear, /signal, /poison, /expire' }];
  const wrong = await obey(req.url ?? '', JSON.parse((await textOf(req)) || '{}'), fake);
  return wrong === null ? [200, state()] : [400, { error: wrong }];
}

const SIGNALS: readonly NodeJS.Signals[] = ['SIGSTOP', 'SIGCONT', 'SIGKILL', 'SIGTERM', 'SIGSEGV', 'SIGABRT'];

/** Does one order; a text says why not. */
async function obey(path: string, body: { readonly model?: unknown; readonly signal?: unknown }, fake: FakeOllama): Promise<string | null> {
  if (path === '/fault') {
    const more = faultsOf(body);
    if (typeof more === 'string') return more;
    await fake.fault(more);
    return null;
  }
  if (path === '/expire') {
    fake.expireAll();
    return null;
  }
  const model = typeof body.model === 'string' ? body.model : '';
  if (path === '/poison') return fake.poison(model) ? null : `no usable model "${model}" in the store`;
  const signal = SIGNALS.find((known) => known === body.signal);
  if (signal === undefined) return `signal must be one of ${SIGNALS.join(', ')}`;
  const targets = fake.runners().filter((runner) => model === '' || runner.name === model || runner.name === `${model}:latest`);
  if (targets.length === 0) return `no runner${model === '' ? '' : ` of "${model}"`} is loaded`;
  for (const runner of targets) process.kill(runner.pid, signal);
  return null;
}

async function textOf(req: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of req) {
    size += part.length;
    if (size > BODY_MAX_BYTES) throw new Error('body too large');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
