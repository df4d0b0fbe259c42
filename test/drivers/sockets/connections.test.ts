import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { countConnections } from '../../../src/drivers/sockets/connections.ts';

test('counts what is open at an address and port, and not what is closed', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const at = { address: '127.0.0.1', port };
  expect(await countConnections(at)).toBe(0);
  const clients = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
  await Promise.all(clients.map((client) => once(client, 'connect')));
  await expect.poll(() => countConnections(at)).toBe(2);
  // Loopback is the agent's own probe, not a user.
  expect(await countConnections({ address: '', port })).toBe(0);
  for (const client of clients) client.destroy();
  await expect.poll(() => countConnections(at)).toBe(0);
  server.close();
});

test('what cannot be counted is null', async () => {
  expect(await countConnections({ address: 'not-an-address', port: 1 })).toBeNull();
});
