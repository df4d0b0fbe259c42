// The control interface: POST /fault, POST /clear, GET /state. JSON over HTTP on loopback.
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
  const state = () => ({ pid: process.pid, port: fake.port, faults: faults(), runners: fake.runners(), requests: fake.requests() });
  if (req.method === 'GET' && req.url === '/state') return [200, state()];
  if (req.method === 'POST' && req.url === '/clear') {
    await fake.clear();
    return [200, state()];
  }
  if (req.method === 'POST' && req.url === '/fault') {
    const more = faultsOf(JSON.parse(await textOf(req)));
    if (typeof more === 'string') return [400, { error: more }];
    await fake.fault(more);
    return [200, state()];
  }
  return [404, { error: 'know GET /state, POST /fault, POST /clear' }];
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
