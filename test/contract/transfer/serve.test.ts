import { symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { nodeOfCertificate } from '../../../src/drivers/transfer/identity.ts';
import type { BlobAddress, TlsMaterial } from '../../../src/drivers/transfer/messages.ts';
import { decodeHead, decodeRequest, encodeHead, encodeRequest, HEAD_BYTES } from '../../../src/drivers/transfer/protocol.ts';
import { blobFile, freshDir, makeBlob } from '../store/models.ts';
import { createAuthority } from './certs.ts';
import { authority, fetch, identity, keyOf, receiving, serving } from './nodes.ts';

/** Sends raw bytes over TLS and gives everything that comes back until the end. */
function speak(address: BlobAddress, tls: TlsMaterial, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect({ ...address, ...tls, checkServerIdentity: () => undefined }, () => socket.write(bytes));
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (Buffer.concat(chunks).length >= HEAD_BYTES) socket.end();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(chunks)));
  });
}

const get = (digest: string) => encodeRequest({ k: 'get', digest, offset: 0, length: 10 });
const part = () => join(freshDir(), 'part');

describe('serving blobs', () => {
  it.each([
    ['an operator', ['ann.operator.lab.ollama-ha']],
    ['a node of another cluster', ['me.other.ollama-ha']],
    ['a node that is not in the list', ['stranger.lab.ollama-ha']],
    ['two nodes at once', ['me.lab.ollama-ha', 'gpu1.lab.ollama-ha']],
    ['a node and an operator at once', ['me.lab.ollama-ha', 'me.operator.lab.ollama-ha']],
  ])('refuses the certificate of %s', async (_who, names) => {
    const blob = makeBlob(100);
    const server = await serving('gpu1', [blob]);
    expect(await speak(server.address, await authority.issue(names), get(blob.digest))).toHaveLength(0);
    expect(server.events.join()).toContain('refused');
  });

  it('refuses a node that has sixteen connections already, and no other node for that', async () => {
    const blob = makeBlob(100);
    const server = await serving('gpu1', [blob], ['me', 'gpu2']);
    const [me, other] = [await identity('me'), await identity('gpu2')];
    const open = await Promise.all(
      Array.from(
        { length: 16 },
        () =>
          new Promise<TLSSocket>((resolve) => {
            const socket = connect({ ...server.address, ...me, checkServerIdentity: () => undefined });
            // An answer shows that the server has counted it.
            socket.once('secureConnect', () => socket.write(get(blob.digest)));
            socket.once('data', () => resolve(socket));
          }),
      ),
    );
    expect(await speak(server.address, me, get(blob.digest))).toHaveLength(0);
    expect(server.events.join()).toContain('refused');
    expect((await speak(server.address, other, get(blob.digest))).length).toBeGreaterThan(0);
    for (const socket of open) socket.destroy();
  });

  it('refuses a certificate of another authority, and a client without one', async () => {
    const blob = makeBlob(100);
    const server = await serving('gpu1', [blob]);
    const foreign = await (await createAuthority()).issue(['me.lab.ollama-ha']);
    const { ca } = await identity('me');
    expect(await speak(server.address, { ...foreign, ca }, get(blob.digest))).toHaveLength(0);
    expect(await speak(server.address, { ca } as TlsMaterial, get(blob.digest))).toHaveLength(0);
  });

  it('is itself refused when its certificate is not that of the node we want', async () => {
    const blob = makeBlob(100);
    const me = await receiving({ gpu2: (await serving('gpu1', [blob])).address });
    expect(await fetch(me, blob, part(), ['gpu2'])).toMatchObject({
      k: 'failed',
      blamed: [{ reason: 'the certificate is not that of gpu2' }],
    });
  });

  it('ends a connection that does not speak the protocol', async () => {
    const server = await serving('gpu1', []);
    const me = await identity('me');
    const long = get('a'.repeat(64));
    long.writeUInt32BE(0xffffffff, 0);
    expect(await speak(server.address, me, long)).toHaveLength(0);
    expect(
      await speak(server.address, me, Buffer.from('GET ../../../../etc/passwd HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n')),
    ).toHaveLength(0);
  });

  it('cannot be asked for a digest that is a path', async () => {
    const me = await receiving({ gpu1: (await serving('gpu1', [])).address });
    for (const digest of ['../../../../etc/passwd', '', 'AB'.repeat(32), `${'a'.repeat(63)}/`]) {
      expect(await fetch(me, { digest, bytes: { length: 1 } }, part(), ['gpu1'])).toMatchObject({
        reason: 'not a blob: malformed digest or size',
      });
    }
  });

  it('serves no blob that is not verified, was rewritten since, or is a link', async () => {
    const [unverified, rewritten, linked, withdrawn] = [makeBlob(100), makeBlob(100), makeBlob(100), makeBlob(100)];
    const server = await serving('gpu1', [rewritten, linked, withdrawn]);
    writeFileSync(blobFile(server.root, unverified.digest), unverified.bytes);
    writeFileSync(blobFile(server.root, rewritten.digest), makeBlob(100).bytes);
    unlinkSync(blobFile(server.root, linked.digest));
    writeFileSync(join(server.root, 'outside'), linked.bytes);
    symlinkSync(join(server.root, 'outside'), blobFile(server.root, linked.digest));
    server.offer({ add: [[linked.digest, keyOf(blobFile(server.root, linked.digest))]], remove: [withdrawn.digest] });
    const me = await receiving({ gpu1: server.address });
    for (const blob of [unverified, rewritten, linked, withdrawn]) {
      expect(await fetch(me, blob, part(), ['gpu1'])).toMatchObject({ k: 'failed', blamed: [{ reason: 'does not have it' }] });
    }
  });

  it('answers a range beyond the end with a refusal and goes on', async () => {
    const blob = makeBlob(5);
    const server = await serving('gpu1', [blob]);
    const head = decodeHead((await speak(server.address, await identity('me'), get(blob.digest))).subarray(0, HEAD_BYTES));
    expect(head).toEqual({ status: 'range', sizeBytes: 5, length: 0 });
  });

  it('lets nobody in any more who is taken off the list', async () => {
    const blob = makeBlob(100);
    const server = await serving('gpu1', [blob]);
    const me = await receiving({ gpu1: server.address });
    expect(await fetch(me, blob, part(), ['gpu1'])).toMatchObject({ k: 'done' });
    server.setPeers(new Map());
    expect(await fetch(me, blob, part(), ['gpu1'])).toMatchObject({ k: 'failed' });
  });
});

describe('the protocol', () => {
  it('reads what it writes', () => {
    const request = { k: 'get', digest: 'ab'.repeat(32), offset: 2 ** 40, length: 12345 } as const;
    expect(decodeRequest(encodeRequest(request))).toEqual(request);
    const head = { status: 'ok', sizeBytes: 2 ** 41, length: 7 } as const;
    expect(decodeHead(encodeHead(head))).toEqual(head);
  });

  it('knows a node by one name of its own cluster, exactly', () => {
    const of = (text: string | undefined) => nodeOfCertificate(text, 'lab');
    expect(of('DNS:gpu1.lab.ollama-ha')).toBe('gpu1');
    expect(of('IP Address:10.0.0.1, DNS:gpu1.lab.ollama-ha')).toBe('gpu1');
    for (const text of [
      undefined,
      '',
      'DNS:lab.ollama-ha',
      'DNS:*.lab.ollama-ha',
      'DNS:a.b.lab.ollama-ha',
      'DNS:gpu1xlab.ollama-ha',
      'URI:gpu1.lab.ollama-ha',
    ]) {
      expect(of(text)).toBeNull();
    }
    expect(of('DNS:"evil, DNS:gpu1.lab.ollama-ha, DNS:x"')).toBeNull();
  });
});
