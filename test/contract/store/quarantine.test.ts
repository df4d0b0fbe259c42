import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fileKeyOf } from '../../../src/core/replication/names.ts';
import type { Store } from '../../../src/drivers/store/store.ts';
import {
  blobFile,
  complete,
  freshRoot,
  holds,
  makeBlob,
  makeModel,
  manifestFile,
  modelWhere,
  open,
  type TestBlob,
  type TestModel,
  writeManifest,
  writeModel,
} from './models.ts';

const PATH = (name: string) => `registry.ollama.ai/library/${name}/latest`;
const WEEK = 7 * 86_400_000;

async function storeWith(...models: TestModel[]): Promise<{ root: string; store: Store & { readonly events: string[] } }> {
  const root = freshRoot();
  for (const model of models) writeModel(root, model);
  const store = await open(root);
  for (const { path } of models) await complete(store, path);
  return { root, store };
}

async function deliver(store: Store, { digest, bytes }: TestBlob): Promise<void> {
  const { file } = await store.stage(digest);
  writeFileSync(file, bytes);
  await store.publishBlob({ digest, sizeBytes: bytes.length }, fileKeyOf(statSync(file, { bigint: true })));
}

const quarantineOf = (root: string, id: string) => join(root, '.agent-quarantine', id);

describe('removing a model', () => {
  it('moves manifest and unshared blobs into the quarantine, and leaves shared ones', async () => {
    const shared = makeBlob(4000);
    const [gone, stays] = [makeModel('gone', [shared, makeBlob(3000)]), makeModel('stays', [shared])];
    const { root, store } = await storeWith(gone, stays);
    const before = statSync(blobFile(root, gone.blobs[2]?.digest ?? '')).ino;
    const result = await store.removeModel(gone.path, gone.digest);
    expect(result).toMatchObject({ k: 'removed', blobs: 2 });
    expect(store.inventory().models.map(({ path }) => path)).toEqual([stays.path]);
    expect(holds(root, stays)).toBe(true);
    expect(existsSync(join(root, 'manifests/registry.ollama.ai/library/gone'))).toBe(false);
    const [entry] = await store.quarantined();
    expect(entry).toMatchObject({ kind: 'deleted', path: gone.path, manifestDigest: gone.digest, heldBytes: 3100 });
    const dir = quarantineOf(root, entry?.id ?? '');
    expect(readFileSync(join(dir, 'manifest.json'))).toEqual(gone.manifest);
    expect(statSync(join(dir, `sha256-${gone.blobs[2]?.digest}`)).ino).toBe(before);
  });

  it('touches nothing when the manifest is another one, or is gone', async () => {
    const model = makeModel('a');
    const { root, store } = await storeWith(model);
    expect(await store.removeModel(model.path, makeModel('a').digest)).toEqual({ k: 'absent' });
    expect(await store.removeModel(PATH('nobody'), model.digest)).toEqual({ k: 'absent' });
    expect([holds(root, model), await store.quarantined()]).toEqual([true, []]);
  });

  it('touches nothing while a manifest cannot be read: it may name the same blobs', async () => {
    const model = makeModel('a');
    const { root, store } = await storeWith(model);
    writeManifest(root, PATH('torn'), Buffer.from('{"layers'));
    await modelWhere(store, PATH('torn'), () => true);
    const result = await store.removeModel(model.path, model.digest);
    expect(result).toEqual({ k: 'refused', reason: 'the manifest of torn:latest cannot be read, so nobody knows which blobs are shared' });
    expect([holds(root, model), await store.quarantined()]).toEqual([true, []]);
  });

  it('prunes empty directories up to manifests/ and no further', async () => {
    const model = makeModel('only');
    const { root, store } = await storeWith(model);
    await store.removeModel(model.path, model.digest);
    expect(readdirSync(join(root, 'manifests'))).toEqual([]);
  });
});

describe('restoring a model', () => {
  it('brings it back byte for byte, verified, and empties its entry', async () => {
    const model = makeModel('back', [makeBlob(3000), makeBlob(10)]);
    const { root, store } = await storeWith(model, makeModel('other'));
    await store.removeModel(model.path, model.digest);
    expect(await store.restoreModel(model.path, model.path)).toEqual({ k: 'restored', path: model.path });
    expect(holds(root, model)).toBe(true);
    expect(store.inventory().models.find(({ path }) => path === model.path)).toMatchObject({ complete: true });
    expect(await store.quarantined()).toEqual([]);
    expect(await store.restoreModel(model.path, model.path)).toMatchObject({ k: 'refused' });
  });

  it('finds a shared blob in the entry of the model that was removed last', async () => {
    const shared = makeBlob(4000);
    const [first, second] = [makeModel('first', [shared]), makeModel('second', [shared])];
    const { root, store } = await storeWith(first, second);
    await store.removeModel(first.path, first.digest);
    await store.removeModel(second.path, second.digest);
    expect(existsSync(blobFile(root, shared.digest))).toBe(false);
    expect(await store.restoreModel(first.path, first.path)).toMatchObject({ k: 'restored' });
    expect(await store.restoreModel(second.path, second.path)).toMatchObject({ k: 'restored' });
    expect([holds(root, first), holds(root, second)]).toEqual([true, true]);
  });

  it('shows no manifest when a kept blob rotted, and leaves nothing behind', async () => {
    const model = makeModel('rotten', [makeBlob(3000)]);
    const { root, store } = await storeWith(model);
    await store.removeModel(model.path, model.digest);
    const [entry] = await store.quarantined();
    const weights = model.blobs[1]?.digest ?? '';
    writeFileSync(join(quarantineOf(root, entry?.id ?? ''), `sha256-${weights}`), makeBlob(3000).bytes);
    expect(await store.restoreModel(model.path, model.path)).toEqual({ k: 'incomplete', missing: [{ digest: weights, sizeBytes: 3000 }] });
    expect([existsSync(manifestFile(root, model.path)), readdirSync(join(root, 'blobs'))]).toEqual([false, []]);
    expect(await store.quarantined()).toHaveLength(1);
  });

  it('does not replace another model of that name, but comes back under another', async () => {
    const [old, next] = [makeModel('tag'), makeModel('tag')];
    const { root, store } = await storeWith(old);
    await store.removeModel(old.path, old.digest);
    writeModel(root, next);
    await complete(store, next.path);
    expect(await store.restoreModel(old.path, old.path)).toMatchObject({ k: 'refused', reason: 'another tag:latest is here' });
    expect(await store.restoreModel(old.path, PATH('tag-old'))).toMatchObject({ k: 'restored' });
    expect([holds(root, next), holds(root, { ...old, path: PATH('tag-old') })]).toEqual([true, true]);
  });
});

describe('what is replaced is kept', () => {
  it('keeps the manifest that a publication replaces, and the blobs only it named', async () => {
    const shared = makeBlob(2000);
    const [old, next] = [makeModel('tag', [shared, makeBlob(1000)]), makeModel('tag', [shared, makeBlob(500)])];
    const { root, store } = await storeWith(old);
    for (const blob of next.blobs) if (blob !== shared) await deliver(store, blob);
    expect(await store.publishModel({ path: next.path, digest: next.digest, bytes: next.manifest })).toEqual({ k: 'published' });
    expect(holds(root, next)).toBe(true);
    expect(await store.quarantined()).toMatchObject([{ kind: 'replaced', path: old.path, manifestDigest: old.digest, heldBytes: 1100 }]);
    expect(store.events).toContain('store_model_replaced');
    expect(await store.restoreModel(old.path, PATH('tag-mine'))).toMatchObject({ k: 'restored' });
    expect([holds(root, next), holds(root, { ...old, path: PATH('tag-mine') })]).toEqual([true, true]);
  });

  it('keeps nothing when the publication does not come about', async () => {
    const old = makeModel('tag');
    const { root, store } = await storeWith(old);
    const next = makeModel('tag');
    expect(await store.publishModel({ path: next.path, digest: next.digest, bytes: next.manifest })).toMatchObject({ k: 'incomplete' });
    expect([holds(root, old), await store.quarantined()]).toEqual([true, []]);
  });

  it('keeps a corrupt blob when the sound one takes its place', async () => {
    const model = makeModel('a', [makeBlob(3000)]);
    const { root, store } = await storeWith(model);
    const [, weights] = model.blobs;
    if (weights === undefined) throw new Error('two blobs');
    const rot = makeBlob(3000).bytes;
    writeFileSync(blobFile(root, weights.digest), rot);
    expect(await store.verify({ digest: weights.digest, sizeBytes: 3000 })).toBe('corrupt');
    await deliver(store, weights);
    await complete(store, model.path);
    const [entry] = await store.quarantined();
    expect(entry).toMatchObject({ kind: 'corrupt', path: '', heldBytes: 3000 });
    expect(readFileSync(join(quarantineOf(root, entry?.id ?? ''), `sha256-${weights.digest}`))).toEqual(rot);
    expect(holds(root, model)).toBe(true);
  });
});

describe('emptying the quarantine', () => {
  it('drops what is old, and the oldest first while the disk is short', async () => {
    const models = ['a', 'b', 'c'].map((name) => makeModel(name));
    const { root, store } = await storeWith(...models);
    for (const { path, digest } of models) await store.removeModel(path, digest);
    expect(await store.emptyQuarantine(WEEK, 0)).toEqual([]);
    const gone = await store.emptyQuarantine(-1, 0);
    expect(gone.map(({ path }) => path)).toEqual(models.map(({ path }) => path));
    expect(readdirSync(join(root, '.agent-quarantine'))).toEqual([]);
    const last = makeModel('last');
    writeModel(root, last);
    await complete(store, last.path);
    await store.removeModel(last.path, last.digest);
    expect(await store.emptyQuarantine(WEEK, Number.MAX_SAFE_INTEGER)).toHaveLength(1);
  });

  it('takes nothing for an entry that is none: no link, no foreign name, no damaged index', async () => {
    const { root, store } = await storeWith(makeModel('a'));
    const top = join(root, '.agent-quarantine');
    mkdirSync(join(top, '../etc-like'), { recursive: true });
    mkdirSync(join(top, '1700000000000-deleted-abcdefabcdef-1'), { recursive: true });
    writeFileSync(join(top, '1700000000000-deleted-abcdefabcdef-1', 'entry.json'), '{"version":1,"path":"../../x"}');
    expect(await store.quarantined()).toEqual([]);
  });
});

describe('reading anew', () => {
  it('finds rot that the file system does not show, and counts the model as incomplete', async () => {
    const model = makeModel('a', [makeBlob(3000)]);
    const { root, store } = await storeWith(model);
    const weights = model.blobs[1]?.digest ?? '';
    const ref = { digest: weights, sizeBytes: 3000 };
    expect(await store.rehash(ref, 0)).toBe('verified');
    writeFileSync(blobFile(root, weights), makeBlob(3000).bytes);
    expect(await store.rehash(ref, 0)).toBe('corrupt');
    expect(await modelWhere(store, model.path, (one) => !one.complete)).toMatchObject({ missingBytes: 3000 });
    unlinkSync(blobFile(root, weights));
    expect(await store.rehash(ref, 0)).toBe('absent');
  });

  it('keeps to its pace', async () => {
    const model = makeModel('a', [makeBlob(3 * 1024 * 1024)]);
    const { store } = await storeWith(model);
    const started = performance.now();
    await store.rehash({ digest: model.blobs[1]?.digest ?? '', sizeBytes: 3 * 1024 * 1024 }, 10 * 1024 * 1024);
    expect(performance.now() - started).toBeGreaterThan(250);
  });
});
