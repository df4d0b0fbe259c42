// The serving thread: hands verified blobs to other nodes of the cluster, and nothing else to anyone. Started by transfer.ts.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { blobName, fileKeyOf } from '../../core/replication/names.ts';
import type { Sha256 } from '../../core/replication/types.ts';
import type { NodeId } from '../../core/types.ts';
import { nodeOfCertificate } from './identity.ts';
import type { FromServer, ServerSetup, ToServer } from './messages.ts';
import { type BlobRequest, decodeRequest, encodeHead, REQUEST_BYTES } from './protocol.ts';
import { TLS_OPTIONS } from './tls.ts';

const CONNECTIONS_MAX = 128;
const CONNECTIONS_PER_NODE_MAX = 16;
const HANDSHAKE_MS = 10_000;
/** Without a request, or without a byte taken by the client. */
const IDLE_MS = 60_000;
const READ_BYTES = 512 * 1024;
const LISTEN_RETRY_MS = 1000;

type Offers = Map<Sha256, string>;
type Shop = { readonly root: string; readonly offers: Offers; readonly buffers: Buffer[] };

function serve(port: MessagePort, setup: ServerSetup): void {
  const tell = (message: FromServer) => port.postMessage(message);
  const shop: Shop = { root: setup.root, offers: new Map(), buffers: [] };
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
        for (const [digest, key] of message.change.add) shop.offers.set(digest, key);
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

/** Answers one connection's requests in order. Reading stops while an answer is sent, so a client cannot pile up work. */
async function session(shop: Shop, socket: TLSSocket): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= REQUEST_BYTES) {
      const request = decodeRequest(rest.subarray(0, REQUEST_BYTES));
      if (request === null) return void socket.destroy();
      rest = rest.subarray(REQUEST_BYTES);
      await answer(shop, socket, request);
    }
  }
  socket.end();
}

async function answer(shop: Shop, socket: TLSSocket, request: BlobRequest): Promise<void> {
  const handle = await openOffered(shop, request.digest);
  if (handle === null) return write(socket, encodeHead({ status: 'absent', sizeBytes: 0, length: 0 }));
  try {
    const sizeBytes = Number((await handle.stat({ bigint: true })).size);
    const { offset, length } = request;
    if (offset + length > sizeBytes) return await write(socket, encodeHead({ status: 'range', sizeBytes, length: 0 }));
    await sendRange({ shop, socket, handle, offset, length, head: encodeHead({ status: 'ok', sizeBytes, length }) });
  } finally {
    await handle.close();
  }
}

/** The blob's file, if it still is the one that was verified. */
async function openOffered(shop: Shop, digest: Sha256): Promise<FileHandle | null> {
  const key = shop.offers.get(digest);
  if (key === undefined) return null;
  const file = join(shop.root, 'blobs', blobName(digest));
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => null);
  if (handle === null) return null;
  const stat = await handle.stat({ bigint: true });
  if (stat.isFile() && fileKeyOf(stat) === key) return handle;
  await handle.close();
  return null;
}

/** Reads ahead by one buffer while the last one is on its way. */
async function sendRange(args: {
  readonly shop: Shop;
  readonly socket: TLSSocket;
  readonly handle: FileHandle;
  readonly offset: number;
  readonly length: number;
  readonly head: Buffer;
}): Promise<void> {
  const { shop, socket, handle, offset, length } = args;
  const pair = [shop.buffers.pop() ?? Buffer.allocUnsafe(READ_BYTES), shop.buffers.pop() ?? Buffer.allocUnsafe(READ_BYTES)] as const;
  let sending = write(socket, args.head);
  try {
    for (let done = 0, turn = 0; done < length; turn += 1) {
      const buffer = turn % 2 === 0 ? pair[0] : pair[1];
      const { bytesRead } = await handle.read(buffer, 0, Math.min(READ_BYTES, length - done), offset + done);
      // The file shrank under us: nothing valid can follow, so the connection ends.
      if (bytesRead === 0) throw new Error('the blob became shorter');
      await sending;
      sending = write(socket, buffer.subarray(0, bytesRead));
      done += bytesRead;
    }
    await sending;
    shop.buffers.push(...pair);
  } finally {
    await sending.catch(() => undefined);
  }
}

/** May be awaited later: a connection that breaks meanwhile must not count as an unhandled rejection and end the thread. */
function write(socket: TLSSocket, bytes: Buffer): Promise<void> {
  const written = new Promise<void>((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
  written.catch(() => undefined);
  return written;
}

if (parentPort !== null) serve(parentPort, workerData as ServerSetup);
