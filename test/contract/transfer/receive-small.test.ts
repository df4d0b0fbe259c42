import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blobFile, freshDir, makeBlob, type TestBlob } from '../store/models.ts';
import { counted, fetch, keyOf, receiving, serving, wire } from './nodes.ts';

const SMALL_BYTES = 20_000;
const blobsOf = (count: number) => Array.from({ length: count }, () => makeBlob(SMALL_BYTES));
const partIn = (dir: string, { digest }: TestBlob) => join(dir, digest);

describe('small blobs', () => {
  it('come one behind the other over one connection, each whole and with the key of its part', async () => {
    const [blobs, dir] = [blobsOf(100), freshDir()];
    const server = await serving('gpu1', blobs);
    const line = await counted(() => server.address);
    const me = await receiving({ gpu1: line });
    const outcomes = await Promise.all(blobs.map((blob) => fetch(me, blob, partIn(dir, blob), ['gpu1'])));
    for (const [i, blob] of blobs.entries()) {
      expect(outcomes[i]).toEqual({ k: 'done', key: keyOf(partIn(dir, blob)), from: 'gpu1', receivedBytes: SMALL_BYTES, blamed: [] });
      expect(readFileSync(partIn(dir, blob)).equals(blob.bytes)).toBe(true);
      expect(statSync(partIn(dir, blob)).mode & 0o777).toBe(0o600);
    }
    expect(line.connections()).toBe(1);
  });

  it('all come when the connection under them breaks', async () => {
    const [blobs, dir] = [blobsOf(60), freshDir()];
    const cut = await wire((await serving('gpu1', blobs)).address, 12 * SMALL_BYTES, 'cut');
    const me = await receiving({ gpu1: cut });
    const outcomes = await Promise.all(blobs.map((blob) => fetch(me, blob, partIn(dir, blob), ['gpu1'])));
    expect(outcomes.filter(({ k }) => k !== 'done')).toEqual([]);
    for (const blob of blobs) expect(readFileSync(partIn(dir, blob)).equals(blob.bytes)).toBe(true);
  });

  it('that one source lacks, or has wrong, come from the next, and only the liar is convicted', async () => {
    const [lacked, spoilt, sound] = [makeBlob(SMALL_BYTES), makeBlob(SMALL_BYTES), makeBlob(SMALL_BYTES)];
    const first = await serving('gpu1', [spoilt, sound]);
    writeFileSync(blobFile(first.root, spoilt.digest), makeBlob(SMALL_BYTES).bytes);
    first.offer({ add: [[spoilt.digest, keyOf(blobFile(first.root, spoilt.digest))]], remove: [] });
    const me = await receiving({ gpu1: first.address, gpu2: (await serving('gpu2', [lacked, spoilt, sound])).address });
    const dir = freshDir();
    const outcomes = await Promise.all([lacked, spoilt, sound].map((blob) => fetch(me, blob, partIn(dir, blob), ['gpu1', 'gpu2'])));
    const blamed = outcomes.map((outcome) => outcome.blamed.map(({ node, corrupt }) => [node, corrupt]));
    expect(blamed).toEqual([[['gpu1', false]], [['gpu1', true]], []]);
    for (const blob of [lacked, spoilt, sound]) expect(readFileSync(partIn(dir, blob)).equals(blob.bytes)).toBe(true);
  });

  it('say that the disk is at fault, and only those that it hinders', async () => {
    const [blob, other] = blobsOf(2);
    if (blob === undefined || other === undefined) throw new Error('two blobs');
    const me = await receiving({ gpu1: (await serving('gpu1', [blob, other])).address });
    const missing = join(freshDir(), 'nowhere', 'part');
    const file = join(freshDir(), 'part');
    const [failed, fine] = await Promise.all([fetch(me, blob, missing, ['gpu1']), fetch(me, other, file, ['gpu1'])]);
    expect(failed).toMatchObject({ k: 'failed', cause: 'disk' });
    expect(existsSync(missing)).toBe(false);
    expect(fine).toMatchObject({ k: 'done', key: keyOf(file) });
  });

  it('keep to the bandwidth limit', async () => {
    const [blobs, dir] = [blobsOf(20), freshDir()];
    const me = await receiving({ gpu1: (await serving('gpu1', blobs)).address });
    me.setLimit(10 * SMALL_BYTES);
    const started = performance.now();
    await Promise.all(blobs.map((blob) => fetch(me, blob, partIn(dir, blob), ['gpu1'])));
    expect(performance.now() - started).toBeGreaterThan(1500);
  });
});
