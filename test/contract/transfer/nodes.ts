// Nodes that serve and receive blobs over loopback, and a wire between them that can be cut.
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { fileKeyOf } from '../../../src/core/replication/names.ts';
import type { BlobAddress, ReceiveOutcome, ReceiveProgress, TlsMaterial } from '../../../src/drivers/transfer/messages.ts';
import { openTransfer, type Transfer, type TransferOptions } from '../../../src/drivers/transfer/transfer.ts';
import { blobFile, freshDir, type TestBlob } from '../store/models.ts';
import { createAuthority, type TestAuthority } from './certs.ts';

/** Any free port of the loopback. */
export const ANY: BlobAddress = { host: '127.0.0.1', port: 0 };

/** One CA, made once per file. */
export const authority: TestAuthority = await createAuthority();

/** A node's identity under the test CA. */
export const identity = (node: string): Promise<TlsMaterial> => authority.issue([`${node}.lab.ollama-ha`]);

/** A serving node. `events` are its log. */
export type TestServer = Transfer & { readonly address: BlobAddress; readonly root: string; readonly events: string[] };

/** Serves blobs to `clients`; each given blob lies in its store and is offered. */
export async function serving(node: string, blobs: readonly TestBlob[], clients: readonly string[] = ['me']): Promise<TestServer> {
  const root = freshDir();
  const events: string[] = [];
  mkdirSync(join(root, 'blobs'));
  const peers = new Map(clients.map((name) => [name, ANY]));
  const log = (_level: string, _event: string, text: string) => void events.push(text);
  const transfer = await openTransfer({ cluster: 'lab', tls: await identity(node), listen: ANY, root, peers, bytesPerSecondMax: 0, log });
  onTestFinished(() => transfer.close());
  for (const { digest, bytes } of blobs) {
    writeFileSync(blobFile(root, digest), bytes);
    transfer.offer({ add: [[digest, keyOf(blobFile(root, digest))]], remove: [] });
  }
  onTestFinished(() => expect(events.filter((text) => text.includes('thread failed'))).toEqual([]));
  return { ...transfer, address: { host: '127.0.0.1', port: transfer.port() }, root, events };
}

/** File key of a file as it is now. */
export const keyOf = (file: string) => fileKeyOf(statSync(file, { bigint: true }));

/** A node that only receives. */
export async function receiving(peers: Readonly<Record<string, BlobAddress>>, options: Partial<TransferOptions> = {}): Promise<Transfer> {
  const transfer = await openTransfer({
    cluster: 'lab',
    tls: await identity('me'),
    listen: null,
    root: '/nonexistent',
    peers: new Map(Object.entries(peers)),
    bytesPerSecondMax: 0,
    log: () => undefined,
    ...options,
  });
  onTestFinished(() => transfer.close());
  return transfer;
}

/** Fetches one blob; `progress` sees how it goes. */
export function fetch(
  transfer: Transfer,
  blob: { readonly digest: string; readonly bytes: { readonly length: number } },
  file: string,
  sources: readonly string[],
  progress: (progress: ReceiveProgress) => void = () => undefined,
  signal: AbortSignal = new AbortController().signal,
): Promise<ReceiveOutcome> {
  return transfer.fetchBlob({ digest: blob.digest, sizeBytes: blob.bytes.length, file, sources, progress, signal });
}

/** A listener that joins each client to `target`; `joined` decides what passes between them. */
async function relay(target: () => BlobAddress, joined: (client: Socket, upstream: Socket) => void): Promise<BlobAddress> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const { host, port } = target();
    const upstream = connect(port, host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    joined(client, upstream);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

/** A wire to `target` that does something after so many bytes came back: `cut` ends it, `stall` sends no more. Once, then it is sound. */
export function wire(target: BlobAddress, afterBytes: number, fault: 'cut' | 'stall', times = 1): Promise<BlobAddress> {
  let left = times;
  return relay(
    () => target,
    (client, upstream) => {
      const faulty = left-- > 0;
      let passed = 0;
      client.pipe(upstream, { end: false });
      upstream.on('data', (chunk) => {
        passed += chunk.length;
        if (!faulty || passed < afterBytes) client.write(chunk);
        else if (fault === 'cut') client.end(() => upstream.destroy());
        else upstream.pause();
      });
    },
  );
}

/** A sound wire to `target` that counts the connections made over it, and the bytes that came back. */
export async function counted(
  target: () => BlobAddress,
): Promise<BlobAddress & { readonly bytes: () => number; readonly connections: () => number }> {
  let [bytes, connections] = [0, 0];
  const address = await relay(target, (client, upstream) => {
    connections += 1;
    client.pipe(upstream);
    upstream.pipe(client);
    upstream.on('data', (chunk) => {
      bytes += chunk.length;
    });
  });
  return { ...address, bytes: () => bytes, connections: () => connections };
}
