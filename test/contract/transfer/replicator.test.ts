import { existsSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { ReplicatorStore } from '../../../src/agent/replicator-ports.ts';
import {
  blobFile,
  cloudStub,
  complete,
  freshRoot,
  holds,
  makeBlob,
  makeModel,
  manifestFile,
  partFile,
  writeManifest,
  writeModel,
} from '../store/models.ts';
import { keyOf, wire } from './nodes.ts';
import { source, standby } from './pair.ts';

const MIB = 1024 * 1024;

/** Resolves when the condition holds; what is on disk or in progress has no event to wait for. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await wait(2);
}

describe('the replicator', () => {
  it('brings every model of the active here, byte for byte, and then rests', async () => {
    const models = [makeModel('a'), makeModel('b', [makeBlob(2 * MIB), makeBlob(10)]), makeModel('c', [])];
    const me = await standby([await source('gpu1', models)]);
    await me.follow();
    expect(models.every((model) => holds(me.root, model))).toBe(true);
    expect(me.plan()).toMatchObject({ fetch: [], modelsComplete: 3, bytesBehind: 0 });
    await until(() => me.replicator.progress().length === 0);
  });

  it('follows a model that appears on the active later', async () => {
    const gpu1 = await source('gpu1', []);
    const me = await standby([gpu1]);
    me.replicator.apply(me.plan());
    const model = makeModel('late');
    writeModel(gpu1.root, model);
    await complete(gpu1.store, model.path);
    await me.follow();
    expect(holds(me.root, model)).toBe(true);
  });

  it('never shows a model before every blob of it is in place', async () => {
    const model = makeModel('watched', [makeBlob(3 * MIB), makeBlob(2 * MIB), makeBlob(1 * MIB)]);
    const me = await standby([await source('gpu1', [model])]);
    let looks = 0;
    let early = 0;
    const watcher = setInterval(() => {
      looks += 1;
      if (existsSync(manifestFile(me.root, model.path)) && !holds(me.root, model)) early += 1;
    }, 1);
    await me.follow();
    clearInterval(watcher);
    expect([holds(me.root, model), early]).toEqual([true, 0]);
    expect(looks).toBeGreaterThan(3);
  });

  it('brings a model of many small tensors, and a cloud stub without layers', async () => {
    const tensors = makeModel(
      'tensors',
      Array.from({ length: 400 }, (_, i) => makeBlob(100 + i)),
    );
    const stub = cloudStub('stub');
    const me = await standby([await source('gpu1', [tensors, stub])]);
    await me.follow();
    expect([holds(me.root, tensors), holds(me.root, stub)]).toEqual([true, true]);
    expect(me.store.inventory().models.every((model) => model.complete)).toBe(true);
  });

  it('fetches a blob that two models share once', async () => {
    const shared = makeBlob(2 * MIB);
    const models = [makeModel('a', [shared]), makeModel('b', [shared, makeBlob(5)])];
    const gpu1 = await source('gpu1', models);
    const fetched: string[] = [];
    const me = await standby([gpu1]);
    const counting = await standby([gpu1], {
      fetchBlob: (order) => {
        fetched.push(order.digest);
        return me.transfer.fetchBlob(order);
      },
    });
    await counting.follow();
    expect(models.every((model) => holds(counting.root, model))).toBe(true);
    expect(fetched.toSorted()).toEqual([...new Set(fetched)].toSorted());
    expect(fetched).toHaveLength(4);
  });

  it('uses what lies in the store after hashing it, and replaces what is corrupt', async () => {
    const model = makeModel('a', [makeBlob(50_000), makeBlob(60_000)]);
    const [, good, bad] = model.blobs;
    if (good === undefined || bad === undefined) throw new Error('three blobs');
    const root = freshRoot();
    writeFileSync(blobFile(root, good.digest), good.bytes);
    writeFileSync(blobFile(root, bad.digest), makeBlob(60_000).bytes);
    const inode = statSync(blobFile(root, good.digest)).ino;
    const me = await standby([await source('gpu1', [model])], { root });
    await me.follow();
    expect(holds(root, model)).toBe(true);
    expect(statSync(blobFile(root, good.digest)).ino).toBe(inode);
  });

  it('takes the blob from the next holder when the active sends a corrupt one, and names the culprit', async () => {
    const model = makeModel('a', [makeBlob(MIB)]);
    const [gpu1, gpu2] = [await source('gpu1', [model]), await source('gpu2', [model])];
    const weights = model.blobs[1]?.digest ?? '';
    const me = await standby([{ ...gpu1, address: gpu2.address }, gpu2]);
    const liar = await standby([gpu1, gpu2], {
      fetchBlob: async (order) => {
        const outcome = await me.transfer.fetchBlob({ ...order, sources: ['gpu2'] });
        return {
          ...outcome,
          blamed: [{ node: 'gpu1', reason: 'sent bytes that do not have the digest', corrupt: order.digest === weights }],
        };
      },
    });
    await liar.follow();
    expect(holds(liar.root, model)).toBe(true);
    expect(liar.events.filter((text) => text.startsWith('replication_corrupt_source: gpu1'))).toHaveLength(1);
  });

  it('lets go of a model that is no longer wanted, and resumes it when it is wanted again', async () => {
    const model = makeModel('big', [makeBlob(8 * MIB)]);
    const weights = model.blobs[1]?.digest ?? '';
    const me = await standby([await source('gpu1', [model])]);
    me.transfer.setLimit(4 * MIB);
    me.replicator.apply(me.plan());
    await until(() => existsSync(partFile(me.root, weights)) && statSync(partFile(me.root, weights)).size > MIB);
    me.replicator.apply(null);
    await until(() => me.replicator.progress().length === 0);
    const kept = statSync(partFile(me.root, weights)).size;
    expect(kept).toBeGreaterThanOrEqual(MIB);
    expect(existsSync(manifestFile(me.root, model.path))).toBe(false);
    me.transfer.setLimit(0);
    await me.follow();
    expect(holds(me.root, model)).toBe(true);
    await until(() => me.replicator.progress().length === 0);
    const received = Number(/(\d+) bytes received/.exec(me.events.join())?.[1]);
    expect(received).toBeGreaterThan(0);
    expect(received).toBeLessThanOrEqual(8 * MIB + 100 - kept);
  });

  it('waits while the disk has no room, says so, and goes on when there is', async () => {
    const model = makeModel('a', [makeBlob(100_000)]);
    const gpu1 = await source('gpu1', [model]);
    const base = await standby([gpu1]);
    let free = 50_000;
    const store: ReplicatorStore = { ...base.store, freeBytes: async () => free };
    const me = await standby([gpu1], { store });
    me.replicator.apply(base.plan());
    const note = () => me.replicator.progress()[0]?.note ?? '';
    await until(() => note().includes('short of this blob and the reserve'));
    expect(me.replicator.progress()[0]?.phase).toBe('waiting');
    free = 200_000;
    await complete(base.store, model.path);
    expect(holds(base.root, model)).toBe(true);
  });

  it('tries again when the source comes back, and says meanwhile why it waits', async () => {
    const model = makeModel('a');
    const gpu1 = await source('gpu1', [model]);
    const me = await standby([{ ...gpu1, address: { ...gpu1.address, port: 1 } }]);
    me.replicator.apply(me.plan());
    await until(() => (me.replicator.progress()[0]?.note ?? '').includes('next try in'));
    me.transfer.setPeers(new Map([['gpu1', gpu1.address]]));
    await me.follow();
    expect(holds(me.root, model)).toBe(true);
  });

  it('survives a connection that is cut again and again', async () => {
    const model = makeModel('a', [makeBlob(6 * MIB)]);
    const gpu1 = await source('gpu1', [model]);
    const me = await standby([{ ...gpu1, address: await wire(gpu1.address, 2 * MIB, 'cut', 3) }]);
    await me.follow();
    expect(holds(me.root, model)).toBe(true);
  });

  it('replaces the manifest of a tag that moved on the active', async () => {
    const old = makeModel('tag');
    const gpu1 = await source('gpu1', [old]);
    const me = await standby([gpu1]);
    await me.follow();
    const next = makeModel('tag');
    writeModel(gpu1.root, next);
    await until(() => gpu1.store.inventory().models.some(({ manifestDigest, complete: whole }) => whole && manifestDigest === next.digest));
    expect(me.plan().conflicts).toHaveLength(1);
    await me.follow();
    expect(readFileSync(manifestFile(me.root, next.path))).toEqual(next.manifest);
  });

  it('copies nothing that the active holds half or corrupt', async () => {
    const [half, rotten] = [makeModel('half'), makeModel('rotten')];
    const gpu1 = await source('gpu1', [makeModel('good')]);
    writeManifest(gpu1.root, half.path, half.manifest);
    writeModel(gpu1.root, rotten);
    const weights = rotten.blobs[1]?.digest ?? '';
    writeFileSync(blobFile(gpu1.root, weights), makeBlob(5000).bytes);
    await gpu1.store.verify({ digest: weights, sizeBytes: 5000 });
    await until(() => gpu1.store.inventory().models.length === 3);
    const me = await standby([gpu1]);
    expect(me.plan().fetch.map(({ path }) => path)).toEqual(['registry.ollama.ai/library/good/latest']);
  });

  it('repairs a model whose blob vanished here', async () => {
    const model = makeModel('a');
    const me = await standby([await source('gpu1', [model])]);
    await me.follow();
    const weights = model.blobs[1]?.digest ?? '';
    unlinkSync(blobFile(me.root, weights));
    await until(() => me.plan().fetch.length === 1);
    await me.follow();
    await until(() => holds(me.root, model));
    expect(keyOf(blobFile(me.root, weights))).toBeTruthy();
  });
});
