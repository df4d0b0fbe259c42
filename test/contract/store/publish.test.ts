import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
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
  open,
  type TestBlob,
  type TestModel,
  writeModel,
} from './models.ts';

/** Puts a blob through the stage, as the transfer does. */
async function deliver(store: Store, { digest, bytes }: TestBlob): Promise<void> {
  const { file } = await store.stage(digest);
  writeFileSync(file, bytes, { mode: 0o600 });
  await store.publishBlob({ digest, sizeBytes: bytes.length }, fileKeyOf(statSync(file, { bigint: true })));
}

const order = ({ path, digest, manifest }: TestModel) => ({ path, digest, bytes: manifest });

describe('publishing', () => {
  it('makes a model visible byte for byte, readable by all, and counts it at once without hashing again', async () => {
    const root = freshRoot();
    const store = await open(root);
    const model = makeModel('tiny');
    for (const blob of model.blobs) await deliver(store, blob);
    expect(await store.publishModel(order(model))).toEqual({ k: 'published' });
    expect(holds(root, model)).toBe(true);
    expect(store.inventory().models).toMatchObject([{ path: model.path, manifestDigest: model.digest, complete: true }]);
    const stat = statSync(blobFile(root, model.blobs[1]?.digest ?? ''));
    expect([stat.mode & 0o777, statSync(manifestFile(root, model.path)).mode & 0o777]).toEqual([0o644, 0o644]);
    expect([stat.uid, stat.gid]).toEqual([statSync(root).uid, statSync(root).gid]);
    expect(readdirSync(join(root, '.agent-stage')).filter((name) => name !== 'verified.json')).toEqual([]);
  });

  it('shows no manifest while a blob is missing or wrong', async () => {
    const root = freshRoot();
    const store = await open(root);
    const model = makeModel('half', [makeBlob(3000), makeBlob(4000)]);
    const [config, first, second] = model.blobs;
    if (config === undefined || first === undefined || second === undefined) throw new Error('three blobs');
    await deliver(store, config);
    writeFileSync(blobFile(root, first.digest), makeBlob(3000).bytes);
    const result = await store.publishModel(order(model));
    expect(result).toEqual({
      k: 'incomplete',
      missing: [
        { digest: first.digest, sizeBytes: 3000 },
        { digest: second.digest, sizeBytes: 4000 },
      ],
    });
    expect(existsSync(manifestFile(root, model.path))).toBe(false);
  });

  it('takes blobs that lie there already, after hashing them', async () => {
    const root = freshRoot();
    const model = makeModel('shared');
    for (const { digest, bytes } of model.blobs) writeFileSync(blobFile(root, digest), bytes);
    const store = await open(root);
    expect(await store.publishModel(order(model))).toEqual({ k: 'published' });
  });

  it('replaces a manifest by rename, so that a reader never sees a mixture', async () => {
    const root = freshRoot();
    const old = makeModel('tag');
    writeModel(root, old);
    const store = await open(root);
    await complete(store, old.path);
    const before = statSync(manifestFile(root, old.path)).ino;
    const next = makeModel('tag');
    for (const blob of next.blobs) await deliver(store, blob);
    await store.publishModel(order(next));
    expect(statSync(manifestFile(root, next.path)).ino).not.toBe(before);
    expect(readFileSync(manifestFile(root, next.path))).toEqual(next.manifest);
  });

  it('refuses a part that changed after its hash was checked', async () => {
    const root = freshRoot();
    const store = await open(root);
    const { digest, bytes } = makeBlob(2000);
    const { file } = await store.stage(digest);
    writeFileSync(file, bytes);
    const key = fileKeyOf(statSync(file, { bigint: true }));
    writeFileSync(file, makeBlob(2000).bytes);
    await expect(store.publishBlob({ digest, sizeBytes: 2000 }, key)).rejects.toThrow('changed after');
    expect(existsSync(blobFile(root, digest))).toBe(false);
  });

  it('refuses another manifest than the ordered one, a case variant, and a path outside the grammar', async () => {
    const root = freshRoot();
    const present = makeModel('Tiny');
    writeModel(root, present);
    const store = await open(root);
    await complete(store, present.path);
    const model = makeModel('tiny');
    expect(await store.publishModel({ ...order(model), digest: present.digest })).toMatchObject({ k: 'refused' });
    expect(await store.publishModel(order(model))).toMatchObject({ k: 'refused', reason: 'differs from Tiny:latest by case alone' });
    await expect(store.publishModel({ ...order(present), path: '../../../../tmp/evil' })).rejects.toThrow();
  });

  it('writes through no link', async () => {
    const root = freshRoot();
    const store = await open(root);
    const model = makeModel('linked');
    for (const blob of model.blobs) await deliver(store, blob);
    const outside = join(dirname(root), 'outside');
    mkdirSync(outside);
    symlinkSync(outside, join(root, 'manifests', 'registry.ollama.ai'));
    await expect(store.publishModel(order(model))).rejects.toThrow('not a directory');
    expect(readdirSync(outside)).toEqual([]);
  });

  it('survives that empty directories are pruned while it publishes', async () => {
    const root = freshRoot();
    const store = await open(root);
    const models = Array.from({ length: 12 }, (_, i) => makeModel(`m${i}`));
    let pruning = true;
    const prune = () => {
      for (const dir of ['library', '.']) {
        for (const name of safely(() => readdirSync(join(root, 'manifests', 'registry.ollama.ai', dir))) ?? []) {
          safely(() => rmdirSync(join(root, 'manifests', 'registry.ollama.ai', dir, name)));
        }
      }
      // Far oftener than any Ollama does, yet not faster than a busy disk can make three directories.
      if (pruning) setTimeout(prune, 15);
    };
    prune();
    for (const model of models) {
      for (const blob of model.blobs) await deliver(store, blob);
      expect(await store.publishModel(order(model))).toEqual({ k: 'published' });
    }
    pruning = false;
    expect(models.every((model) => holds(root, model))).toBe(true);
  });

  it('counts a blob that vanished after it was published as missing', async () => {
    const root = freshRoot();
    const store = await open(root);
    const model = makeModel('gone');
    for (const blob of model.blobs) await deliver(store, blob);
    unlinkSync(blobFile(root, model.blobs[1]?.digest ?? ''));
    expect(await store.publishModel(order(model))).toMatchObject({ k: 'incomplete', missing: [{ sizeBytes: 5000 }] });
    expect(existsSync(manifestFile(root, model.path))).toBe(false);
  });

  it('keeps parts over a restart and clears manifests that were never published', async () => {
    const root = freshRoot();
    const first = await open(root);
    const { digest } = makeBlob(1);
    const { file } = await first.stage(digest);
    writeFileSync(file, 'part');
    writeFileSync(join(root, '.agent-stage', `manifest-${digest}.json`), '{}');
    await first.close();
    const second = await open(root);
    expect(await second.stage(digest)).toEqual({ file, presentBytes: 4, heldKey: null });
    expect(existsSync(join(root, '.agent-stage', `manifest-${digest}.json`))).toBe(false);
  });

  it('keeps the reserve out of the free space', async () => {
    const root = freshRoot();
    const [all, kept] = [await open(root), await open(root, { reserveBytes: 2 ** 40 })];
    expect((await all.freeBytes()) - (await kept.freeBytes())).toBeGreaterThan(2 ** 39);
  });
});

function safely<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
