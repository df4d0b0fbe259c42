import { chmodSync, closeSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createChunkMap } from '../../../src/drivers/transfer/chunk-map.ts';
import { type BlobRequest, CHUNK_BYTES, decodeHead, encodeRequest, HEAD_BYTES } from '../../../src/drivers/transfer/protocol.ts';
import { openShop, session, shareBlob } from '../../../src/drivers/transfer/session.ts';
import { openTransfer, type Transfer } from '../../../src/drivers/transfer/transfer.ts';
import { blobFile, freshDir, makeBlob, sha256, type TestBlob } from '../store/models.ts';
import { ANY, counted, fetch, identity, keyOf, receiving, serving, type TestServer, wire } from './nodes.ts';

const MIB = 1024 * 1024;
const part = () => join(freshDir(), 'part');

/** Changes one byte of what a server hands out as this blob. */
function spoil(server: TestServer, { digest }: TestBlob, at: number): void {
  damage(blobFile(server.root, digest), at);
  server.offer({ add: [[digest, keyOf(blobFile(server.root, digest))]], remove: [] });
}

function damage(file: string, at: number): void {
  const fd = openSync(file, 'r+');
  writeSync(fd, Buffer.from([(readFileSync(file)[at] ?? 0) ^ 1]), 0, 1, at);
  closeSync(fd);
}

/** A standby that also serves; peers are named when all are open. */
async function standby(name: string): Promise<Transfer> {
  const transfer = await openTransfer({
    cluster: 'lab',
    tls: await identity(name),
    listen: ANY,
    root: freshDir(),
    peers: new Map(),
    bytesPerSecondMax: 0,
    log: () => undefined,
  });
  onTestFinished(() => transfer.close());
  return transfer;
}

describe('a large blob', () => {
  it('comes from several holders at once', async () => {
    const blob = makeBlob(41 * MIB + 5);
    const [one, two] = [await serving('gpu1', [blob]), await serving('gpu2', [blob])];
    const [wire1, wire2] = [await counted(() => one.address), await counted(() => two.address)];
    const me = await receiving({ gpu1: wire1, gpu2: wire2 });
    me.setLimit(40 * MIB);
    const file = part();
    const outcome = await fetch(me, blob, file, ['gpu1', 'gpu2']);
    expect(outcome).toMatchObject({ k: 'done', key: keyOf(file), receivedBytes: blob.bytes.length, blamed: [] });
    expect(wire1.bytes()).toBeGreaterThan(CHUNK_BYTES);
    expect(wire2.bytes()).toBeGreaterThan(CHUNK_BYTES);
    expect(readFileSync(file).equals(blob.bytes)).toBe(true);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('convicts the holder of one wrong chunk, and fetches only that chunk again', async () => {
    const blob = makeBlob(40 * MIB);
    const liar = await serving('gpu2', [blob]);
    for (let at = 0; at < blob.bytes.length; at += CHUNK_BYTES) spoil(liar, blob, at);
    const me = await receiving({ gpu1: (await serving('gpu1', [blob])).address, gpu2: liar.address });
    const file = part();
    const outcome = await fetch(me, blob, file, ['gpu1', 'gpu2']);
    expect(outcome).toMatchObject({ k: 'done', blamed: [{ node: 'gpu2', corrupt: true }] });
    expect(outcome.k === 'done' && outcome.receivedBytes).toBeLessThanOrEqual(blob.bytes.length + 2 * CHUNK_BYTES);
    expect(readFileSync(file).equals(blob.bytes)).toBe(true);
  });

  it('comes whole from three holders of which one lies and one dies midway, and each is named for what it did', async () => {
    const blob = makeBlob(44 * MIB);
    const [honest, liar, mortal] = [await serving('gpu1', [blob]), await serving('gpu2', [blob]), await serving('gpu3', [blob])];
    for (let at = 0; at < blob.bytes.length; at += CHUNK_BYTES) spoil(liar, blob, at);
    const dying = await wire(mortal.address, 6 * MIB, 'cut', 1000);
    const me = await receiving({ gpu1: honest.address, gpu2: liar.address, gpu3: dying });
    me.setLimit(80 * MIB);
    const file = part();
    const outcome = await fetch(me, blob, file, ['gpu1', 'gpu2', 'gpu3']);
    const blamed = expect.arrayContaining([
      expect.objectContaining({ node: 'gpu2', corrupt: true }),
      expect.objectContaining({ node: 'gpu3', corrupt: false }),
    ]);
    expect(outcome).toMatchObject({ k: 'done', key: keyOf(file), blamed });
    expect(outcome.blamed.map(({ node }) => node)).not.toContain('gpu1');
    // Only what lied or was cut off came twice: two chunks under way with each.
    expect(outcome.k === 'done' && outcome.receivedBytes).toBeLessThanOrEqual(blob.bytes.length + 4 * CHUNK_BYTES);
    expect(readFileSync(file).equals(blob.bytes)).toBe(true);
  });

  it('convicts whoever gave the wrong hashes, not the honest holder whose bytes differ from them', async () => {
    const blob = makeBlob(40 * MIB);
    const liar = await serving('gpu1', [blob]);
    for (let at = 0; at < blob.bytes.length; at += CHUNK_BYTES) spoil(liar, blob, at);
    const me = await receiving({ gpu1: liar.address, gpu2: (await serving('gpu2', [blob])).address });
    const file = part();
    const outcome = await fetch(me, blob, file, ['gpu1', 'gpu2']);
    expect(outcome).toMatchObject({ k: 'done', blamed: [{ node: 'gpu1', corrupt: true }] });
    expect(readFileSync(file).equals(blob.bytes)).toBe(true);
  });

  it('fails, and names the only holder, when that one is corrupt', async () => {
    const blob = makeBlob(33 * MIB);
    const liar = await serving('gpu1', [blob]);
    spoil(liar, blob, 9 * MIB);
    const me = await receiving({ gpu1: liar.address });
    expect(await fetch(me, blob, part(), ['gpu1'])).toMatchObject({
      k: 'failed',
      cause: 'sources',
      blamed: [{ node: 'gpu1', corrupt: true }],
    });
  });

  it('of which one byte on disk is wrong costs one chunk, and nobody the blame', async () => {
    const blob = makeBlob(40 * MIB);
    const me = await receiving({ gpu1: (await serving('gpu1', [blob])).address });
    const file = part();
    writeFileSync(file, blob.bytes);
    damage(file, 13 * MIB);
    expect(await fetch(me, blob, file, ['gpu1'])).toMatchObject({ k: 'done', receivedBytes: CHUNK_BYTES, blamed: [] });
    expect(readFileSync(file).equals(blob.bytes)).toBe(true);
  });

  it('with holes, left by a killed process, is filled where it lacks bytes', async () => {
    const blob = makeBlob(40 * MIB);
    const me = await receiving({ gpu1: (await serving('gpu1', [blob])).address });
    const file = part();
    const kept = Buffer.from(blob.bytes);
    kept.fill(0, 8 * MIB, 24 * MIB);
    writeFileSync(file, kept.subarray(0, 30 * MIB));
    chmodSync(file, 0o700);
    // Four chunks of the hole, the broken one at the end, and the two behind it.
    expect(await fetch(me, blob, file, ['gpu1'])).toMatchObject({ k: 'done', receivedBytes: 7 * CHUNK_BYTES, blamed: [] });
    expect(readFileSync(file).equals(blob.bytes)).toBe(true);
  });

  it('that was stopped midway resumes with what is missing', async () => {
    const blob = makeBlob(40 * MIB);
    const me = await receiving({ gpu1: (await serving('gpu1', [blob])).address, gpu2: (await serving('gpu2', [blob])).address });
    me.setLimit(40 * MIB);
    const [file, stop] = [part(), new AbortController()];
    let kept = 0;
    const watch = ({ doneBytes }: { readonly doneBytes: number }) => {
      kept = doneBytes;
      if (doneBytes > 12 * MIB) stop.abort();
    };
    expect(await fetch(me, blob, file, ['gpu1', 'gpu2'], watch, stop.signal)).toMatchObject({ k: 'failed', cause: 'aborted' });
    me.setLimit(0);
    const outcome = await fetch(me, blob, file, ['gpu1']);
    expect(outcome).toMatchObject({ k: 'done', blamed: [] });
    expect(outcome.k === 'done' && outcome.receivedBytes).toBeLessThanOrEqual(blob.bytes.length - kept);
    expect(readFileSync(file).equals(blob.bytes)).toBe(true);
  });

  it('leaves the active about once when two standbys fetch it together', async () => {
    const blob = makeBlob(64 * MIB);
    const active = await serving('gpu1', [blob], ['gpu2', 'gpu3']);
    const [one, two] = await Promise.all([standby('gpu2'), standby('gpu3')]);
    const at = (transfer: Transfer) => ({ host: '127.0.0.1', port: transfer.port() });
    const fromActive = await counted(() => active.address);
    const [fromOne, fromTwo] = [await counted(() => at(one)), await counted(() => at(two))];
    one.setPeers(
      new Map([
        ['gpu1', fromActive],
        ['gpu3', fromTwo],
      ]),
    );
    two.setPeers(
      new Map([
        ['gpu1', fromActive],
        ['gpu2', fromOne],
      ]),
    );
    let receivedBytes = 0;
    const run = async (transfer: Transfer): Promise<void> => {
      transfer.setLimit(32 * MIB);
      const file = part();
      const outcome = await fetch(transfer, blob, file, ['gpu1']);
      expect(outcome).toMatchObject({ k: 'done', receivedBytes: expect.any(Number), blamed: [] });
      expect(sha256(readFileSync(file))).toBe(blob.digest);
      receivedBytes += outcome.k === 'done' ? outcome.receivedBytes : 0;
    };
    await Promise.all([run(one), run(two)]);
    // Nothing comes twice, but for the chunk that the stream was cut in.
    expect(receivedBytes).toBeLessThan(2 * blob.bytes.length + 4 * CHUNK_BYTES);
    // Each gave chunks to the other, and what they gave did not come from the active.
    for (const mate of [fromOne, fromTwo]) expect(mate.bytes()).toBeGreaterThan(CHUNK_BYTES);
    expect(fromActive.bytes()).toBeLessThan(2 * blob.bytes.length - 2 * CHUNK_BYTES);
  });
});

describe('a blob on its way', () => {
  it('is served chunk by chunk, as far as it is verified, and never as a whole', async () => {
    const [blob, file, shop] = [makeBlob(10 * MIB), part(), openShop(freshDir())];
    writeFileSync(file, blob.bytes);
    const map = createChunkMap(blob.bytes.length);
    map.set(1, 'good');
    map.set(2, 'coming');
    const { ino } = statSync(file, { bigint: true });
    shareBlob(shop, blob.digest, { file, inode: String(ino), sizeBytes: blob.bytes.length, have: map.have, coming: map.coming });
    const server = createServer({ allowHalfOpen: true }, (socket) => void session(shop, socket).catch(() => socket.destroy()));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const ask = (request: BlobRequest): Promise<Buffer> =>
      new Promise((resolve) => {
        const chunks: Buffer[] = [];
        const socket = connect((server.address() as AddressInfo).port, '127.0.0.1', () => socket.end(encodeRequest(request)));
        socket.on('data', (chunk: Buffer) => chunks.push(chunk));
        socket.on('end', () => resolve(Buffer.concat(chunks)));
      });
    const { digest } = blob;
    const statusOf = async (request: BlobRequest) => decodeHead((await ask(request)).subarray(0, HEAD_BYTES))?.status;
    expect((await ask({ k: 'have', digest })).subarray(HEAD_BYTES)).toEqual(Buffer.from([0b010, 0b100]));
    const chunk = await ask({ k: 'get', digest, offset: CHUNK_BYTES, length: CHUNK_BYTES });
    expect(chunk.subarray(HEAD_BYTES).equals(blob.bytes.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES))).toBe(true);
    expect(await statusOf({ k: 'get', digest, offset: CHUNK_BYTES - 1, length: 2 })).toBe('absent');
    expect(await statusOf({ k: 'get', digest, offset: 2 * CHUNK_BYTES - 1, length: 2 })).toBe('absent');
    expect(await statusOf({ k: 'get', digest, offset: 8 * MIB, length: 10 })).toBe('absent');
    expect(await statusOf({ k: 'hashes', digest, first: 1, count: 1 })).toBe('absent');
    shareBlob(shop, digest, null);
    expect(await statusOf({ k: 'have', digest })).toBe('absent');
  });
});

describe('the choice of the next chunk', () => {
  const bits = (...chunks: readonly number[]) => Buffer.from([chunks.reduce((sum, chunk) => sum | (1 << chunk), 0)]);
  const part = (have: readonly number[], coming: readonly number[] = []) => ({ have: bits(...have), coming: bits(...coming) });
  const mates = (b: ReturnType<typeof part>) => new Map([['b', b]]);
  const fresh = (good: readonly number[]) => {
    const map = createChunkMap(8 * CHUNK_BYTES);
    for (const chunk of good) map.set(chunk, 'good');
    return map;
  };

  it('is another one for each standby, as long as nobody has it', () => {
    expect(fresh([]).choose('whole', 'a', mates(part([])))).toBe(0);
    expect(fresh([]).choose('whole', 'b', new Map([['a', part([])]]))).toBe(1);
    expect(fresh([]).choose('whole', 'b', new Map())).toBe(0);
  });

  it('leaves to the others what they have or fetch, and helps them from the far end', () => {
    const map = fresh([0, 2, 4, 6]);
    expect(map.choose('whole', 'a', mates(part([1, 7])))).toBe(5);
    expect(map.choose('whole', 'a', mates(part([1, 7], [5])))).toBe(3);
    expect(map.choose(part([1, 7]), 'a', mates(part([1, 7])))).toBe(1);
    expect(map.choose(part([0]), 'a', new Map())).toBe(null);
  });

  it('waits while others fetch what nobody has, but not for ever', () => {
    const map = fresh([0, 2, 4, 6]);
    const fetching = mates(part([1], [3, 5, 7]));
    expect(map.choose('whole', 'a', fetching)).toBe(null);
    expect(map.choose('whole', 'a', fetching, true)).toBe(1);
  });

  it('takes from the source what the others have, once there is nothing else to take', () => {
    expect(fresh([0, 2, 4, 6]).choose('whole', 'a', mates(part([1, 3, 5, 7])))).toBe(1);
  });

  it('counts and shows what is good, and can take it back', () => {
    const map = createChunkMap(8 * CHUNK_BYTES + 1);
    map.set(8, 'good');
    map.set(0, 'good');
    map.set(0, 'good');
    map.set(1, 'coming');
    expect([...new Uint8Array(map.have), ...new Uint8Array(map.coming)]).toEqual([1, 1, 2, 0]);
    map.set(1, 'missing');
    expect([...new Uint8Array(map.coming)]).toEqual([0, 0]);
    expect(map.goodBytes()).toBe(CHUNK_BYTES + 1);
    map.doubtAll();
    expect([map.goodBytes(), map.stateOf(8), ...new Uint8Array(map.have)]).toEqual([0, 'doubtful', 0, 0]);
  });
});
