// The HTTP port: what is refused, what is bounded, and a port that is taken.
import { request } from 'node:http';
import { createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { json, type Route } from '../../../src/drivers/http/route.ts';
import { type HttpOptions, type HttpServer, isLoopback, openHttp } from '../../../src/drivers/http/server.ts';

const open: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

const routes: readonly Route[] = [
  { method: 'GET', path: '/open', access: 'open', answer: async () => json(200, { ok: true }) },
  { method: 'GET', path: '/page', access: 'tokenOffLoopback', answer: async () => json(200, { ok: true }) },
  { method: 'POST', path: '/change', access: 'token', answer: async ({ body }) => json(200, { body }) },
  { method: 'GET', path: '/bug', access: 'open', answer: async () => Promise.reject(new Error('secret detail')) },
];

async function start(more: Partial<HttpOptions> = {}): Promise<number> {
  const server = await openHttp({
    listen: '127.0.0.1:0',
    token: 'sesame-sesame-16',
    routes,
    names: ['gpu1'],
    log: () => undefined,
    ...more,
  });
  open.push(server);
  return server.port() ?? 0;
}

type Reply = { readonly status: number; readonly text: string; readonly headers: Readonly<Record<string, unknown>> };

function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers = {}, body = '' } = options;
    const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (part) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

test('unknown pages, wrong methods, HEAD', async () => {
  const port = await start();
  expect((await ask(port, '/open')).status).toBe(200);
  expect((await ask(port, '/nothing')).status).toBe(404);
  expect(await ask(port, '/open', { method: 'DELETE' })).toMatchObject({ status: 405, headers: { allow: 'GET' } });
  expect(await ask(port, '/open', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
});

test('a change needs the bearer token, and without a configured one nobody may', async () => {
  const port = await start();
  const change = (headers: Record<string, string>) => ask(port, '/change', { method: 'POST', headers, body: 'x' });
  expect((await change({})).status).toBe(403);
  expect((await change({ authorization: 'Bearer sesame-sesame-17' })).status).toBe(403);
  expect((await change({ authorization: 'Basic sesame-sesame-16' })).status).toBe(403);
  expect((await change({ authorization: 'Bearer sesame-sesame-16' })).status).toBe(200);
  // A browser would add a stored password to a form of another site, so a password opens no change.
  const password = `Basic ${Buffer.from('anybody:sesame-sesame-16').toString('base64')}`;
  expect((await change({ authorization: password })).status).toBe(403);
  const none = await start({ token: '' });
  const refused = await ask(none, '/change', { method: 'POST', headers: { authorization: 'Bearer ' } });
  expect(refused).toMatchObject({ status: 403 });
  expect(refused.text).toContain('http.tokenFile');
});

test('on loopback a page is open to addresses and known names only; off loopback it needs the token', async () => {
  const port = await start();
  expect((await ask(port, '/page')).status).toBe(200);
  expect((await ask(port, '/page', { headers: { host: `localhost:${port}` } })).status).toBe(200);
  expect((await ask(port, '/page', { headers: { host: 'gpu1' } })).status).toBe(200);
  expect((await ask(port, '/page', { headers: { host: 'evil.example' } })).status).toBe(403);
  const wide = await start({ listen: '0.0.0.0:0' });
  expect((await ask(wide, '/open')).status).toBe(200);
  expect(await ask(wide, '/page')).toMatchObject({ status: 401, headers: { 'www-authenticate': expect.stringContaining('Basic') } });
  const basic = (text: string) => ask(wide, '/page', { headers: { authorization: `Basic ${Buffer.from(text).toString('base64')}` } });
  expect((await basic('anybody:sesame-sesame-16')).status).toBe(200);
  expect((await basic('sesame-sesame-16:wrong')).status).toBe(401);
  expect((await ask(wide, '/page', { headers: { authorization: 'Bearer sesame-sesame-16' } })).status).toBe(200);
  const bare = await start({ listen: '0.0.0.0:0', token: '' });
  expect((await ask(bare, '/page', { headers: { authorization: `Basic ${Buffer.from('x:').toString('base64')}` } })).status).toBe(403);
  expect(['127.0.0.1', '127.9.9.9', '::1', 'localhost'].every(isLoopback)).toBe(true);
  expect(['0.0.0.0', '::', '10.77.0.1', '127.evil.example'].some(isLoopback)).toBe(false);
});

test('bodies and headers are bounded, and a fault of the agent tells no detail', async () => {
  const port = await start();
  const headers = { authorization: 'Bearer sesame-sesame-16' };
  expect((await ask(port, '/change', { method: 'POST', headers, body: 'y'.repeat(4096) })).status).toBe(200);
  const large = await ask(port, '/change', { method: 'POST', headers, body: 'y'.repeat(4097) }).catch(() => ({ status: 413 }));
  expect(large.status).toBe(413);
  expect((await ask(port, '/open', { headers: { x: 'z'.repeat(9000) } })).status).toBe(431);
  expect(await ask(port, '/bug')).toMatchObject({ status: 500 });
  expect((await ask(port, '/bug')).text).not.toContain('secret detail');
});

test('a port in use ends nothing: it is said once, and taken when it is free', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const lines: string[] = [];
  const server = await openHttp({
    listen: `127.0.0.1:${port}`,
    token: '',
    routes,
    names: [],
    log: (_level, event) => lines.push(event),
    retryMs: 20,
  });
  open.push(server);
  expect(server.port()).toBe(null);
  await new Promise((resolve) => other.close(resolve));
  await expect.poll(() => server.port()).toBe(port);
  expect((await ask(port, '/open')).status).toBe(200);
  expect(lines).toEqual(['http_failed', 'http_listens']);
});
