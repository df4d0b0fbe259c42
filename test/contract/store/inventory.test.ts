import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import {
  blobFile,
  complete,
  freshDir,
  freshRoot,
  inventoryWhere,
  makeBlob,
  makeModel,
  manifestFile,
  modelWhere,
  open,
  writeManifest,
  writeModel,
} from './models.ts';

describe('the inventory', () => {
  it('lists a model as complete once every blob is hashed', async () => {
    const root = freshRoot();
    const model = makeModel('tiny');
    writeModel(root, model);
    const store = await open(root);
    expect(await complete(store, model.path)).toEqual({
      path: model.path,
      manifestDigest: model.digest,
      manifestBytes: model.manifest.length,
      sizeBytes: 5100,
      complete: true,
      missingBytes: 0,
      weights: model.blobs[1]?.digest,
    });
  });

  it('notices a model that is pulled while it watches within two seconds, and one that is deleted', async () => {
    const root = freshRoot();
    const store = await open(root);
    const model = makeModel('late');
    const writtenMs = performance.now();
    writeModel(root, model);
    const before = await complete(store, model.path);
    expect(before.complete).toBe(true);
    // Without its watch it would look again after half a minute.
    expect(performance.now() - writtenMs).toBeLessThan(2000);
    rmSync(join(root, 'manifests', 'registry.ollama.ai'), { recursive: true });
    const after = await inventoryWhere(store, ({ models }) => models.length === 0);
    expect(after.version).toBeGreaterThan(1);
  });

  it('counts a blob of the right size and wrong content as missing, and says so', async () => {
    const root = freshRoot();
    const model = makeModel('rotten');
    writeModel(root, model);
    const weights = model.blobs[1]?.digest ?? '';
    const rotten = readFileSync(blobFile(root, weights));
    rotten[17] = (rotten[17] ?? 0) ^ 1;
    writeFileSync(blobFile(root, weights), rotten);
    const store = await open(root);
    expect(await store.verify({ digest: weights, sizeBytes: 5000 })).toBe('corrupt');
    expect(await modelWhere(store, model.path, ({ missingBytes }) => missingBytes === 5000)).toMatchObject({ complete: false });
    expect(store.events).toContain('store_blob_corrupt');
  });

  it('no longer trusts a hash when the blob was rewritten in place', async () => {
    const root = freshRoot();
    const model = makeModel('rewritten');
    writeModel(root, model);
    const store = await open(root);
    await complete(store, model.path);
    const weights = model.blobs[1]?.digest ?? '';
    writeFileSync(blobFile(root, weights), makeBlob(5000).bytes);
    await modelWhere(store, model.path, (found) => !found.complete && found.missingBytes === 5000);
    expect(await store.verify({ digest: weights, sizeBytes: 5000 })).toBe('corrupt');
  });

  it('shows a model as incomplete while a blob is short or missing', async () => {
    const root = freshRoot();
    const model = makeModel('short');
    writeModel(root, model);
    truncateSync(blobFile(root, model.blobs[1]?.digest ?? ''), 4999);
    unlinkSync(blobFile(root, model.blobs[0]?.digest ?? ''));
    const store = await open(root);
    expect(await modelWhere(store, model.path, () => true)).toMatchObject({ complete: false, missingBytes: 5100 });
  });

  it('ignores stray files, links and names outside the grammar', async () => {
    const root = freshRoot();
    const model = makeModel('good');
    writeModel(root, model);
    for (const stray of [
      'registry.ollama.ai/library/good/.latest.tmp',
      'registry.ollama.ai/lib.rary/x/latest',
      'registry.ollama.ai/library/deep/er/latest',
    ]) {
      writeManifest(root, stray, model.manifest);
    }
    writeFileSync(join(root, 'manifests', 'README'), 'x');
    symlinkSync('/etc/hostname', manifestFile(root, 'registry.ollama.ai/library/good/linked'));
    symlinkSync('/etc', join(root, 'manifests', 'registry.ollama.ai', 'etc'));
    writeFileSync(join(root, 'blobs', `sha256-${model.digest}-partial`), 'x');
    const store = await open(root);
    await complete(store, model.path);
    expect(store.inventory().models.map(({ path }) => path)).toEqual([model.path]);
  });

  it('never takes a half-written manifest for a model', async () => {
    const root = freshRoot();
    const model = makeModel('torn');
    writeModel(root, model);
    const store = await open(root);
    const seen = new Set<string>();
    store.onInventory(({ models }) => models.forEach((found) => void (found.complete && seen.add(found.manifestDigest))));
    for (let round = 0; round < 20; round += 1) {
      writeFileSync(manifestFile(root, model.path), model.manifest.subarray(0, round % 2 === 0 ? 0 : 150));
      await pause(5);
      appendFileSync(manifestFile(root, model.path), model.manifest.subarray(round % 2 === 0 ? 0 : 150));
      await store.rescan();
    }
    await complete(store, model.path);
    expect([...seen]).toEqual([model.digest]);
  });

  it.each([
    '',
    '{',
    '[]',
    '{}',
    '{"config":{"digest":"sha256:../../../etc/passwd","size":1}}',
    '{"layers":[{"digest":"md5:0","size":-1}]}',
  ])('shows the manifest %j as incomplete, whatever it says', async (text) => {
    const root = freshRoot();
    writeManifest(root, 'registry.ollama.ai/library/broken/latest', Buffer.from(text));
    const store = await open(root);
    expect(await modelWhere(store, 'registry.ollama.ai/library/broken/latest', () => true)).toMatchObject({
      complete: false,
      sizeBytes: 0,
    });
    expect(store.events).toContain('store_manifest_bad');
  });

  it('takes a cloud stub, whose layers are null, for a model without weights', async () => {
    const root = freshRoot();
    const config = makeBlob(50);
    const manifest = Buffer.from(
      JSON.stringify({ schemaVersion: 2, config: { digest: `sha256:${config.digest}`, size: 50 }, layers: null }),
    );
    writeFileSync(blobFile(root, config.digest), config.bytes);
    writeManifest(root, 'registry.ollama.ai/library/stub/cloud', manifest);
    const store = await open(root);
    expect(await complete(store, 'registry.ollama.ai/library/stub/cloud')).toMatchObject({ weights: '', sizeBytes: 50 });
  });

  it('refuses a store with manifests-v2, as soon as it appears', async () => {
    const root = freshRoot();
    writeModel(root, makeModel('tiny'));
    const store = await open(root);
    mkdirSync(join(root, 'manifests-v2'));
    const { refused, models } = await inventoryWhere(store, (inventory) => inventory.refused !== null);
    expect(refused).toContain('manifests-v2');
    expect(models).toEqual([]);
  });

  it('refuses a store that is not there, and takes it when it comes', async () => {
    const root = join(freshDir(), 'models');
    const store = await open(root, { rescanMs: 50 });
    expect(store.inventory().refused).toContain('is not there');
    mkdirSync(root);
    expect(await inventoryWhere(store, ({ refused }) => refused === null)).toMatchObject({ models: [] });
  });

  it('remembers hashes over a restart, and hashes again what changed meanwhile', async () => {
    const root = freshRoot();
    const [kept, touched] = [makeModel('kept'), makeModel('touched')];
    writeModel(root, kept);
    writeModel(root, touched);
    const first = await open(root);
    await complete(first, kept.path);
    await complete(first, touched.path);
    await first.close();
    const weights = touched.blobs[1]?.digest ?? '';
    const { atime, mtime } = statSync(blobFile(root, weights));
    writeFileSync(blobFile(root, weights), makeBlob(5000).bytes);
    utimesSync(blobFile(root, weights), atime, mtime);
    const second = await open(root);
    const known = new Set<string>();
    second.onVerified(({ add }) => add.forEach(([digest]) => void known.add(digest)));
    expect(kept.blobs.every(({ digest }) => known.has(digest))).toBe(true);
    expect(known.has(weights)).toBe(false);
    expect(await second.verify({ digest: weights, sizeBytes: 5000 })).toBe('corrupt');
  });
});

describe('readManifest', () => {
  it('gives the bytes of a manifest in the inventory and nothing else', async () => {
    const root = freshRoot();
    const model = makeModel('tiny');
    writeModel(root, model);
    const store = await open(root);
    await complete(store, model.path);
    expect(Buffer.from((await store.readManifest(model.path, model.digest)) ?? [])).toEqual(model.manifest);
    expect(await store.readManifest(model.path, '0'.repeat(64))).toBeNull();
    expect(await store.readManifest('../../../etc/passwd', model.digest)).toBeNull();
  });
});
