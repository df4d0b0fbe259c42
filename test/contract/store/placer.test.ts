import { existsSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fileKeyOf } from '../../../src/core/replication/names.ts';
import { openPlacer, type Placing } from '../../../src/drivers/store/placer.ts';
import { blobFile, freshRoot, makeBlob, partFile, type TestBlob } from './models.ts';

const keyOf = (file: string) => fileKeyOf(statSync(file, { bigint: true }));

/** Blobs whose verified parts lie in the stage, as the transfer leaves them. */
function staged(root: string, count: number): readonly TestBlob[] {
  mkdirSync(join(root, '.agent-stage'), { recursive: true });
  const blobs = Array.from({ length: count }, () => makeBlob(3000));
  for (const { digest, bytes } of blobs) {
    writeFileSync(partFile(root, digest), bytes, { mode: 0o600 });
    utimesSync(partFile(root, digest), 1e9, 1e9);
  }
  return blobs;
}

type Placed = { readonly key: string | null; readonly partKey: string };

/** Places as the store's thread does; `sync` is the flush of the file system. */
function placing(root: string, sync: () => Promise<boolean>, verifiedKey: (digest: string) => string | undefined = () => undefined) {
  const placer = openPlacer({ root, sync, verifiedKey: ({ digest }) => verifiedKey(digest) });
  const owner = { uid: statSync(root).uid, gid: statSync(root).gid };
  return ({ digest, bytes }: TestBlob, key = keyOf(partFile(root, digest))): Promise<Placed> =>
    new Promise((resolve) => {
      const done: Placing['done'] = (placedKey, partKey) => resolve({ key: placedKey, partKey });
      placer.place({ ref: { digest, sizeBytes: bytes.length }, key, owner, done });
    });
}

describe('placing small blobs', () => {
  it('flushes a crowd once, and gives none its name before', async () => {
    const root = freshRoot();
    const blobs = staged(root, 20);
    const [begun, flush] = [Promise.withResolvers<void>(), Promise.withResolvers<boolean>()];
    let flushes = 0;
    const place = placing(root, () => {
      flushes += 1;
      begun.resolve();
      return flush.promise;
    });
    const all = Promise.all(blobs.map((blob) => place(blob)));
    await begun.promise;
    expect(blobs.filter(({ digest }) => existsSync(blobFile(root, digest)))).toEqual([]);
    flush.resolve(true);
    const results = await all;
    expect(flushes).toBe(1);
    for (const [i, { digest, bytes }] of blobs.entries()) {
      expect(results[i]?.key).toBe(keyOf(blobFile(root, digest)));
      expect(readFileSync(blobFile(root, digest)).equals(bytes)).toBe(true);
      expect(existsSync(partFile(root, digest))).toBe(false);
    }
  });

  it('gives mode 0644 and the present time, which the start-up prune of Ollama counts from', async () => {
    const root = freshRoot();
    const [blob] = staged(root, 1);
    if (blob === undefined) throw new Error('one blob');
    await placing(root, async () => true)(blob);
    const stat = statSync(blobFile(root, blob.digest));
    expect(stat.mode & 0o777).toBe(0o644);
    expect(Date.now() - stat.mtimeMs).toBeLessThan(600_000);
  });

  it('flushes each by itself when they are few, or when the file system cannot be flushed', async () => {
    const root = freshRoot();
    let flushes = 0;
    const place = placing(root, async () => {
      flushes += 1;
      return false;
    });
    const few = await Promise.all(staged(root, 3).map((blob) => place(blob)));
    expect(flushes).toBe(0);
    const many = await Promise.all(staged(root, 5).map((blob) => place(blob)));
    expect(flushes).toBe(1);
    expect([...few, ...many].map(({ key }) => key)).not.toContain(null);
  });

  it('leaves a part that changed after its hash was checked, before or during the flush', async () => {
    const root = freshRoot();
    const blobs = staged(root, 6);
    const [before, during] = blobs;
    if (before === undefined || during === undefined) throw new Error('six blobs');
    const keys = blobs.map(({ digest }) => keyOf(partFile(root, digest)));
    writeFileSync(partFile(root, before.digest), makeBlob(3000).bytes);
    const place = placing(root, async () => {
      writeFileSync(partFile(root, during.digest), makeBlob(3000).bytes);
      return true;
    });
    const results = await Promise.all(blobs.map((blob, i) => place(blob, keys[i])));
    expect(results.map(({ key }) => key === null)).toEqual([true, true, false, false, false, false]);
    for (const { digest } of [before, during]) expect(existsSync(blobFile(root, digest))).toBe(false);
  });

  it('hides no evidence: what lies there unverified stays, what is verified is replaced', async () => {
    const root = freshRoot();
    const [foreign, known] = staged(root, 2);
    if (foreign === undefined || known === undefined) throw new Error('two blobs');
    for (const { digest } of [foreign, known]) writeFileSync(blobFile(root, digest), 'something else');
    const knownKey = keyOf(blobFile(root, known.digest));
    const place = placing(
      root,
      async () => true,
      (digest) => (digest === known.digest ? knownKey : undefined),
    );
    const partKey = keyOf(partFile(root, foreign.digest));
    expect(await place(foreign)).toEqual({ key: null, partKey });
    expect(readFileSync(blobFile(root, foreign.digest), 'utf8')).toBe('something else');
    expect((await place(known)).key).toBe(keyOf(blobFile(root, known.digest)));
    expect(readFileSync(blobFile(root, known.digest)).equals(known.bytes)).toBe(true);
  });

  it('says so when there is no part', async () => {
    const root = freshRoot();
    expect(await placing(root, async () => true)(makeBlob(10), '1:2:3:4')).toEqual({ key: null, partKey: '1:2:3:4' });
  });
});
