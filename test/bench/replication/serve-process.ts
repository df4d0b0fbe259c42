// The serving thread of a measurement without TLS: the product's sessions over a plain socket.
import { createServer } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import type { FromServer, ServerSetup, ToServer } from '../../../src/drivers/transfer/messages.ts';
import { openShop, session } from '../../../src/drivers/transfer/session.ts';

const port = parentPort;
if (port !== null) {
  const { listen, root } = workerData as ServerSetup;
  const shop = openShop(root);
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    void session(shop, socket).catch(() => socket.destroy());
  });
  server.listen(listen.port, listen.host, () => port.postMessage({ k: 'listening', port: listen.port } satisfies FromServer));
  port.on('message', (message: ToServer) => {
    if (message.k === 'offer') for (const [digest, key] of message.change.add) shop.offers.set(digest, key);
    if (message.k === 'close') process.exit();
  });
}
