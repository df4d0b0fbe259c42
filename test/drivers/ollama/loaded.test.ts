// An order to unload that comes while Ollama loads the model is answered, and lost.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { openLoaded } from '../../../src/drivers/ollama/loaded.ts';

it('is given again until the model has left the list', async () => {
  let orders = 0;
  const row = { name: 'm:latest', digest: 'aa'.repeat(32), size: 1, size_vram: 1, expires_at: '2318-01-01T00:00:00Z' };
  const server = createServer((req, res) => {
    if (req.method === 'POST') orders += 1;
    const body = req.method === 'POST' ? { response: '', done: true, done_reason: 'unload' } : { models: orders < 2 ? [row] : [] };
    res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  const port = openLoaded(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, Date.now);
  onTestFinished(async () => {
    await port.close();
    server.closeAllConnections();
    server.close();
  });
  expect(await port.unload('m:latest', new AbortController().signal)).toBe(true);
  expect(orders).toBe(2);
});
