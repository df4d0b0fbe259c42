// The serving thread: hands verified blobs to other nodes of the cluster, and nothing else to anyone. Started by transfer.ts.
import { createServer, type TLSSocket } from 'node:tls';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { NodeId } from '../../core/types.ts';
import { nodeOfCertificate } from './identity.ts';
import type { FromServer, ServerSetup, ToServer } from './messages.ts';
import { openShop, session, shareBlob } from './session.ts';
import { TLS_OPTIONS } from './tls.ts';

const CONNECTIONS_MAX = 128;
const CONNECTIONS_PER_NODE_MAX = 16;
const HANDSHAKE_MS = 10_000;
/** Without a request, or without a byte taken by the client. */
const IDLE_MS = 60_000;
const LISTEN_RETRY_MS = 1000;

function serve(port: MessagePort, setup: ServerSetup): void {
  const tell = (message: FromServer) => port.postMessage(message);
  const shop = openShop(setup.root);
  const open = new Map<TLSSocket, NodeId>();
  let nodes = new Set(setup.nodes);
  let retry: NodeJS.Timeout | undefined;

  const server = createServer({
    ...TLS_OPTIONS,
    ...setup.tls,
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: HANDSHAKE_MS,
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on('secureConnection', (socket) => {
    const node = nodeOfCertificate(socket.getPeerX509Certificate()?.subjectAltName, setup.cluster);
    const reason = refusal(node);
    socket.on('error', () => socket.destroy());
    if (node === null || reason !== null) {
      tell({
        k: 'log',
        level: 'warn',
        event: 'transfer_refused',
        text: `blob connection refused: ${reason}`,
        fields: { node: node ?? '' },
      });
      socket.destroy();
      return;
    }
    open.set(socket, node);
    socket.on('close', () => open.delete(socket));
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    void session(shop, socket).catch(() => socket.destroy());
  });

  function refusal(node: NodeId | null): string | null {
    if (node === null) return 'the certificate names no node of this cluster';
    if (!nodes.has(node)) return `${node} is not in cluster.nodes`;
    const count = [...open.values()].filter((other) => other === node).length;
    return count >= CONNECTIONS_PER_NODE_MAX ? `${node} has ${count} connections already` : null;
  }

  const listen = () => server.listen({ host: setup.listen.host, port: setup.listen.port });
  server.on('listening', () => {
    const address = server.address();
    tell({ k: 'listening', port: typeof address === 'object' && address !== null ? address.port : 0 });
  });
  // A client that does not speak TLS, or has no certificate, is no event: port scanners exist.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.on('error', (error) => {
    const text = `cannot listen for blobs on ${setup.listen.host}:${setup.listen.port}: ${error.message}; trying again`;
    tell({ k: 'log', level: 'error', event: 'transfer_listen_failed', text, fields: {} });
    retry = setTimeout(listen, LISTEN_RETRY_MS);
  });
  listen();

  port.on('message', (message: ToServer) => {
    switch (message.k) {
      case 'offer':
        for (const digest of message.change.remove) shop.offers.delete(digest);
        for (const [digest, key] of message.change.add) {
          shop.offers.set(digest, key);
          shop.parts.delete(digest);
        }
        return;
      case 'part':
        shareBlob(shop, message.digest, message.part);
        return;
      case 'tls':
        server.setSecureContext({ ...TLS_OPTIONS, ...message.tls });
        return;
      case 'nodes':
        nodes = new Set(message.nodes);
        for (const [socket, node] of open) if (!nodes.has(node)) socket.destroy();
        return;
      case 'close':
        clearTimeout(retry);
        server.close();
        for (const socket of open.keys()) socket.destroy();
        port.close();
    }
  });
}

if (parentPort !== null) serve(parentPort, workerData as ServerSetup);
