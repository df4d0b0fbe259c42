// Rot at rest on real disks: the scrub and the verify pass, with and without a peer that can repair.
import { writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ScrubCursor, type ScrubOptions, startScrub } from '../../../src/agent/scrub.ts';
import { startVerify } from '../../../src/agent/verify.ts';
import { planRepair } from '../../../src/core/replication/plan.ts';
import type { Store } from '../../../src/drivers/store/store.ts';
import { source, standby } from '../transfer/pair.ts';
import { blobFile, complete, freshRoot, holds, makeBlob, makeModel, modelWhere, open, type TestModel, writeModel } from './models.ts';

const DAY = 86_400_000;
const never = new AbortController().signal;
const pause = (ms: number, signal: AbortSignal) => wait(Math.min(ms, 10), undefined, { signal });

async function storeWith(...models: TestModel[]): Promise<{ root: string; store: Store }> {
  const root = freshRoot();
  for (const model of models) writeModel(root, model);
  const store = await open(root);
  for (const { path } of models) await complete(store, path);
  return { root, store };
}

/** Replaces a model's weights by other bytes of the same size; true rot keeps even the times. */
function rot(root: string, model: TestModel): string {
  const weights = model.blobs[1];
  if (weights === undefined) throw new Error('a model with weights');
  writeFileSync(blobFile(root, weights.digest), makeBlob(weights.bytes.length).bytes);
  return weights.digest;
}

function scrub(store: Store, more: Partial<ScrubOptions> = {}) {
  const events: string[] = [];
  const saved: ScrubCursor[] = [];
  let wallMs = 10 * DAY;
  const it = startScrub({
    store,
    everyMs: DAY,
    bytesPerSecondMax: 0,
    saved: { doneAtMs: wallMs, cursor: '' },
    save: (cursor) => void saved.push(cursor),
    log: (_level, event, text) => void events.push(`${event}: ${text}`),
    wallMs: () => wallMs,
    pause,
    ...more,
  });
  onTestFinished(() => it.close());
  const pass = (ms: number) => {
    wallMs += ms;
  };
  return { ...it, events, saved, pass };
}

const until = async (condition: () => boolean) => {
  while (!condition()) await wait(5);
};

describe('the scrub', () => {
  it('reads everything anew when it is time, and not before', async () => {
    const { store } = await storeWith(makeModel('a'), makeModel('b'));
    const it = scrub(store);
    await wait(60);
    expect(it.view()).toMatchObject({ running: false, checkedBlobs: 0, nextAtMs: 11 * DAY });
    it.pass(DAY);
    await until(() => it.events.length > 0);
    expect(it.events).toEqual(['scrub_done: 4 blobs read anew, 0 corrupt']);
    expect(it.view()).toMatchObject({ running: false, checkedBlobs: 4, totalBlobs: 4, nextAtMs: 12 * DAY });
    expect(it.saved.at(-1)).toEqual({ doneAtMs: 11 * DAY, cursor: '' });
  });

  it('waits a whole period on a store that it never saw: everything was hashed just now', async () => {
    const { store } = await storeWith(makeModel('a'));
    const it = scrub(store, { saved: null });
    expect(it.saved).toEqual([{ doneAtMs: 10 * DAY, cursor: '' }]);
    await wait(60);
    expect(it.events).toEqual([]);
  });

  it('names a corrupt blob, and the model counts as incomplete', async () => {
    const model = makeModel('a');
    const { root, store } = await storeWith(model, makeModel('b'));
    const digest = rot(root, model);
    const it = scrub(store, { saved: { doneAtMs: 0, cursor: '' } });
    await until(() => it.events.length > 1);
    expect(it.events[0]).toContain(`scrub_corrupt: blob ${digest} of ${model.path} is corrupt at rest`);
    expect(it.view().corruptBlobs).toBe(1);
    await modelWhere(store, model.path, (one) => !one.complete);
  });

  it('goes on where the last process was', async () => {
    const models = [makeModel('a'), makeModel('b'), makeModel('c')];
    const { store } = await storeWith(...models);
    const digests = models.flatMap((model) => model.blobs.map((blob) => blob.digest)).sort();
    const read: string[] = [];
    const rehash: Store['rehash'] = (ref, bytesPerSecondMax) => {
      read.push(ref.digest);
      return store.rehash(ref, bytesPerSecondMax);
    };
    const seen = { ...store, rehash };
    const it = scrub(seen, { saved: { doneAtMs: 10 * DAY, cursor: digests[3] ?? '' } });
    await until(() => it.events.length > 0);
    expect(read).toEqual(digests.slice(4));
  });

  it('leaves its cursor when it is closed', async () => {
    const { store } = await storeWith(makeModel('a', [makeBlob(3 * 1024 * 1024)]), makeModel('b'));
    const it = scrub(store, { saved: { doneAtMs: 0, cursor: '' }, bytesPerSecondMax: 1024 * 1024 });
    await until(() => it.view().checkedBlobs > 0);
    it.close();
    expect(it.saved.at(-1)?.cursor).toMatch(/^[0-9a-f]{64}$/);
  });

  it('never runs with everyMs 0', async () => {
    const { store } = await storeWith(makeModel('a'));
    const it = scrub(store, { everyMs: 0, saved: { doneAtMs: 0, cursor: '' } });
    await wait(60);
    expect([it.events, it.view().nextAtMs]).toEqual([[], 0]);
  });
});

describe('a verify pass', () => {
  const log = () => undefined;

  it('reports corrupt and missing blobs by model, of the named models only', async () => {
    const [a, b] = [makeModel('a'), makeModel('b')];
    const { root, store } = await storeWith(a, b);
    const digest = rot(root, a);
    rot(root, b);
    const pass = startVerify(
      { store, fetching: () => new Set(), log, pause },
      { id: 1, paths: new Set([a.path]), repair: false, signal: never },
    );
    await pass.ended;
    expect(pass.view()).toEqual({
      id: 1,
      phase: 'done',
      models: 1,
      blobs: 2,
      blobsDone: 2,
      bytes: 5100,
      bytesDone: 5100,
      bad: [{ digest, sizeBytes: 5000, models: ['a:latest'], state: 'corrupt' }],
    });
  });

  it('waits until a standby has fetched the sound blob from the active', async () => {
    const model = makeModel('a');
    const me = await standby([await source('gpu1', [model])]);
    await me.follow();
    const digest = rot(me.root, model);
    const fetching = () => new Set(me.plan().fetch.map(({ path }) => path));
    const pass = startVerify({ store: me.store, fetching, log, pause }, { id: 1, paths: null, repair: true, signal: never });
    await modelWhere(me.store, model.path, (one) => !one.complete);
    me.replicator.apply(me.plan());
    await pass.ended;
    expect(pass.view().bad).toEqual([{ digest, sizeBytes: 5000, models: ['a:latest'], state: 'repaired' }]);
    expect(holds(me.root, model)).toBe(true);
    expect(await me.store.quarantined()).toMatchObject([{ kind: 'corrupt' }]);
  });

  it('repairs the active from a standby, and never touches its manifests', async () => {
    const model = makeModel('a');
    const peer = await source('gpu2', [model]);
    const root = freshRoot();
    writeModel(root, model);
    const me = await standby([peer], { root });
    await complete(me.store, model.path);
    rot(root, model);
    const repair = () => planRepair(me.store.inventory(), new Map([['gpu2', peer.store.inventory()]]), 7);
    expect(repair()).toBeNull();
    const fetching = () => new Set(repair()?.fetch.map(({ path }) => path));
    const pass = startVerify({ store: me.store, fetching, log, pause }, { id: 1, paths: null, repair: true, signal: never });
    await modelWhere(me.store, model.path, (one) => !one.complete);
    expect(repair()?.fetch).toMatchObject([{ path: model.path, from: 'gpu2', blobsOnly: true }]);
    me.replicator.apply(repair());
    await pass.ended;
    expect(pass.view().bad).toMatchObject([{ state: 'repaired' }]);
    expect([holds(root, model), repair()]).toEqual([true, null]);
  });

  it('gives up where no peer has it', async () => {
    const model = makeModel('a');
    const { root, store } = await storeWith(model);
    rot(root, model);
    const pass = startVerify({ store, fetching: () => new Set(), log, pause }, { id: 1, paths: null, repair: true, signal: never });
    await pass.ended;
    expect(pass.view().bad).toMatchObject([{ state: 'corrupt' }]);
  });
});
