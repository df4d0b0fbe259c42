// Blobs that travel while the active still downloads their model.
import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { planReplication } from '../../../src/core/replication/plan.ts';
import type { ReplicationPlan } from '../../../src/core/replication/types.ts';
import {
  blobFile,
  complete,
  freshRoot,
  holds,
  inventoryWhere,
  makeBlob,
  makeModel,
  open,
  partFile,
  writeManifest,
} from '../store/models.ts';
import { type Source, type Standby, source, standby } from './pair.ts';

const MIB = 1024 * 1024;
const held = (root: string) => readdirSync(join(root, '.agent-stage')).filter((name) => name.endsWith('.held'));

/** The plan as the core makes it where every model is taken. */
function planOf(me: Standby, active: Source): ReplicationPlan {
  const policy = { include: [/^/], exclude: [], required: [], ahead: true };
  const own = me.store.inventory();
  return planReplication({ own, active: { node: active.name, inventory: active.store.inventory(), epoch: 1 }, peers: new Map(), policy });
}

async function untilHeld(me: Standby, digest: string): Promise<void> {
  while (!existsSync(partFile(me.root, digest).replace(/part$/, 'held'))) await wait(5);
}

async function doneEvent(me: Standby): Promise<string> {
  for (;;) {
    const found = me.events.find((event) => event.startsWith('replication_done'));
    if (found !== undefined) return found;
    await wait(5);
  }
}

describe('the inventory of a store into which a model is being pulled', () => {
  it('tells the finished, verified blobs that no manifest names, and no longer once one does', async () => {
    const root = freshRoot();
    const model = makeModel('big', [makeBlob(5000), makeBlob(9000)]);
    const [config, small, large] = model.blobs;
    if (config === undefined || small === undefined || large === undefined) throw new Error('three blobs');
    const store = await open(root);
    writeFileSync(join(root, 'blobs', `sha256-${small.digest}-partial`), small.bytes);
    writeFileSync(blobFile(root, large.digest), large.bytes);
    writeFileSync(blobFile(root, config.digest), Buffer.alloc(100));
    const { loose } = await inventoryWhere(store, (inventory) => inventory.loose !== undefined);
    expect(loose).toEqual([{ digest: large.digest, sizeBytes: 9000 }]);
    for (const { digest, bytes } of model.blobs) writeFileSync(blobFile(root, digest), bytes);
    writeManifest(root, model.path, model.manifest);
    await complete(store, model.path);
    expect(store.inventory().loose).toBeUndefined();
  });

  it('tells no orphan of long ago, and none that this agent placed for a model to come', async () => {
    const root = freshRoot();
    const [orphan, mine, fresh] = [makeBlob(3000), makeBlob(4000), makeBlob(2000)];
    writeFileSync(blobFile(root, orphan.digest), orphan.bytes);
    utimesSync(blobFile(root, orphan.digest), new Date(0), new Date(Date.now() - 7_200_000));
    const store = await open(root);
    const { file } = await store.stage(mine.digest);
    writeFileSync(file, mine.bytes);
    const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    await store.publishBlob({ digest: mine.digest, sizeBytes: 4000 }, `${ino}:${size}:${mtimeNs}:${ctimeNs}`);
    writeFileSync(blobFile(root, fresh.digest), fresh.bytes);
    const { loose } = await inventoryWhere(store, (inventory) => inventory.loose !== undefined);
    expect(loose).toEqual([{ digest: fresh.digest, sizeBytes: 2000 }]);
  });
});

describe('a blob ahead of its model', () => {
  it('waits in the stage, outside the reach of a start-up prune, and is published without being read again', async () => {
    const model = makeModel('big', [makeBlob(3 * MIB), makeBlob(10)]);
    const [, weights] = model.blobs;
    if (weights === undefined) throw new Error('weights');
    const active = await source('gpu1', []);
    const me = await standby([active]);
    writeFileSync(blobFile(active.root, weights.digest), weights.bytes);
    await inventoryWhere(active.store, (inventory) => inventory.loose !== undefined);
    me.replicator.apply(planOf(me, active));
    await untilHeld(me, weights.digest);
    expect(readdirSync(join(me.root, 'blobs'))).toEqual([]);
    expect(statSync(partFile(me.root, weights.digest)).size).toBe(3 * MIB);

    for (const { digest, bytes } of model.blobs) if (digest !== weights.digest) writeFileSync(blobFile(active.root, digest), bytes);
    writeManifest(active.root, model.path, model.manifest);
    await complete(active.store, model.path);
    me.replicator.apply(planOf(me, active));
    await complete(me.store, model.path);
    expect(holds(me.root, model)).toBe(true);
    expect(held(me.root)).toEqual([]);
    expect(await doneEvent(me)).toContain(' here, 110 bytes received');
  });

  it('is joined by its model while it still travels', async () => {
    const model = makeModel('big', [makeBlob(3 * MIB)]);
    const [, weights] = model.blobs;
    if (weights === undefined) throw new Error('weights');
    const active = await source('gpu1', []);
    const me = await standby([active]);
    me.transfer.setLimit(3 * MIB);
    writeFileSync(blobFile(active.root, weights.digest), weights.bytes);
    await inventoryWhere(active.store, (inventory) => inventory.loose !== undefined);
    me.replicator.apply(planOf(me, active));
    while ((me.replicator.progress()[0]?.doneBytes ?? 0) === 0) await wait(5);
    expect(me.replicator.progress()[0]).toMatchObject({ path: `blob ${weights.digest.slice(0, 12)}`, totalBytes: 3 * MIB, from: 'gpu1' });
    for (const { digest, bytes } of model.blobs) if (digest !== weights.digest) writeFileSync(blobFile(active.root, digest), bytes);
    writeManifest(active.root, model.path, model.manifest);
    await complete(active.store, model.path);
    me.replicator.apply(planOf(me, active));
    await complete(me.store, model.path);
    expect(holds(me.root, model)).toBe(true);
    // Nothing was fetched twice: the whole wire carried the model once.
    expect(me.events.filter((event) => event.startsWith('replication_ahead'))).toEqual([]);
    expect(await doneEvent(me)).toContain(` here, ${3 * MIB + 100} bytes received`);
  });

  it('stays held over a restart, and is dropped when it is not that file any more', async () => {
    const root = freshRoot();
    const blob = makeBlob(5000);
    const store = await open(root);
    const { file } = await store.stage(blob.digest);
    writeFileSync(file, blob.bytes);
    const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    const key = `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
    await store.holdBlob({ digest: blob.digest, sizeBytes: 5000 }, key);
    await store.close();
    const again = await open(root);
    expect((await again.stage(blob.digest)).heldKey).toBe(key);
    expect(await again.dropHeld(0, new Set([blob.digest]))).toBe(false);
    expect(await again.dropHeld(60_000, new Set())).toBe(false);
    writeFileSync(file, Buffer.alloc(5000));
    expect((await again.stage(blob.digest)).heldKey).toBe(null);
    expect(await again.dropHeld(0, new Set())).toBe(true);
    expect(readdirSync(join(root, '.agent-stage')).filter((name) => name.startsWith('sha256-'))).toEqual([]);
  });

  it('makes no room for itself when the disk is short, and says so', async () => {
    const model = makeModel('a', [makeBlob(5000)]);
    const [loose, active] = [makeBlob(6000), await source('gpu1', [model])];
    let free = 1000;
    const store = await open(freshRoot());
    const dropped: number[] = [];
    const me = await standby([active], {
      root: freshRoot(),
      store: { ...store, freeBytes: async () => free, makeRoom: async (bytes) => dropped.push(bytes) < 0 },
    });
    writeFileSync(blobFile(active.root, loose.digest), loose.bytes);
    await inventoryWhere(active.store, (inventory) => inventory.loose !== undefined);
    me.replicator.apply({ ...planOf({ ...me, store }, active), fetch: [] });
    while (!(me.replicator.progress()[0]?.note ?? '').includes('short')) await wait(5);
    expect(dropped).toEqual([]);
    free = 1_000_000;
    await me.replicator.close();
  });

  it('is not planned where a selection could leave its model out', async () => {
    const active = await source('gpu1', []);
    const me = await standby([active]);
    const blob = makeBlob(100);
    writeFileSync(blobFile(active.root, blob.digest), blob.bytes);
    await inventoryWhere(active.store, (inventory) => inventory.loose !== undefined);
    expect(planOf(me, active).ahead).toEqual([{ digest: blob.digest, sizeBytes: 100, sources: ['gpu1'] }]);
    expect(me.plan().ahead).toBeUndefined();
  });
});
