import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { displayName } from '../../../src/core/replication/names.ts';
import { type PlanArgs, planReplication } from '../../../src/core/replication/plan.ts';
import type { Inventory, ReplicationPolicy, StoreModel } from '../../../src/core/replication/types.ts';

const digestOf = (n: number) => n.toString(16).padStart(64, '0');
const ALL: ReplicationPolicy = { include: [/^.*$/], exclude: [], required: [] };

function model(name: string, overrides: Partial<StoreModel> = {}): StoreModel {
  const base = { path: `registry.ollama.ai/library/${name}/latest`, manifestDigest: digestOf(1), manifestBytes: 500, sizeBytes: 100 };
  return { ...base, complete: true, missingBytes: 0, weights: digestOf(9), ...overrides };
}

function inventory(models: readonly StoreModel[], refused: string | null = null): Inventory {
  return { version: 1, models, refused };
}

function plan(own: readonly StoreModel[], active: readonly StoreModel[], extra: Partial<PlanArgs> = {}) {
  return planReplication({
    own: inventory(own),
    active: { node: 'gpu1', inventory: inventory(active), epoch: 7 },
    peers: new Map(),
    policy: ALL,
    ...extra,
  });
}

const names = (paths: readonly { readonly path: string }[]) => paths.map(({ path }) => displayName(path));

describe('planReplication', () => {
  it('fetches what the active has complete and this node lacks, under the epoch of the active', () => {
    const out = plan([model('a')], [model('a'), model('b'), model('half', { complete: false, missingBytes: 10 })]);
    expect(out.fetch).toEqual([{ path: model('b').path, manifestDigest: digestOf(1), from: 'gpu1', sources: ['gpu1'], epoch: 7 }]);
    expect([out.modelsComplete, out.modelsTotal, out.bytesBehind]).toEqual([1, 2, 100]);
  });

  it('fetches required models first, then the smaller ones', () => {
    const active = [model('big', { sizeBytes: 900 }), model('small', { sizeBytes: 10 }), model('must', { sizeBytes: 1000 })];
    const out = plan([], active, { policy: { ...ALL, required: ['must'] } });
    expect(names(out.fetch)).toEqual(['must:latest', 'small:latest', 'big:latest']);
  });

  it('names a conflict and settles it in favour of the active', () => {
    const out = plan([model('a', { manifestDigest: digestOf(2) })], [model('a')]);
    expect(out.conflicts).toEqual([{ path: model('a').path, local: digestOf(2), active: digestOf(1) }]);
    expect(names(out.fetch)).toEqual(['a:latest']);
  });

  it('counts only the missing bytes of a model that is half here', () => {
    const out = plan([model('a', { complete: false, missingBytes: 30 })], [model('a')]);
    expect([out.bytesBehind, out.conflicts]).toEqual([30, []]);
  });

  it('keeps and lists what only this node has', () => {
    expect(plan([model('mine'), model('a')], [model('a')]).extra).toEqual([model('mine').path]);
  });

  it('refuses a name that differs from an existing one by case alone', () => {
    const out = plan([model('Tiny')], [model('tiny'), model('other')]);
    expect(out.refused).toEqual([{ path: model('tiny').path, reason: 'differs from Tiny:latest by case alone' }]);
    expect(names(out.fetch)).toEqual(['other:latest']);
    expect([out.modelsComplete, out.modelsTotal]).toEqual([0, 2]);
  });

  it('takes only one of two casings that the active has, the one that is here already', () => {
    const both = [model('TINY'), model('tiny')];
    expect(names(plan([], both).refused)).toEqual(['tiny:latest']);
    expect(names(plan([model('tiny')], both).refused)).toEqual(['TINY:latest']);
  });

  it('plans nothing from or into a refused store', () => {
    const refused = inventory([model('a')], 'manifests-v2');
    expect(plan([], [], { active: { node: 'gpu1', inventory: refused, epoch: 7 } })).toMatchObject({
      fetch: [],
      blocked: 'the store of gpu1: manifests-v2',
    });
    expect(plan([], [model('a')], { own: refused })).toMatchObject({ fetch: [], blocked: "this node's store: manifests-v2" });
  });

  it('offers peers that hold the same manifest complete as further sources', () => {
    const peers = new Map([
      ['gpu4', inventory([model('a')])],
      ['gpu3', inventory([model('a')])],
      ['gpu5', inventory([model('a', { complete: false })])],
      ['gpu6', inventory([model('a', { manifestDigest: digestOf(3) })])],
      ['gpu7', inventory([model('a')], 'unreadable')],
      ['gpu1', inventory([model('a')])],
    ]);
    expect(plan([], [model('a')], { peers }).fetch[0]?.sources).toEqual(['gpu1', 'gpu3', 'gpu4']);
  });

  it('takes blobs ahead of their model from the active, larger first, only where every model is taken', () => {
    const loose = [
      { digest: digestOf(5), sizeBytes: 10 },
      { digest: '../../../etc/passwd', sizeBytes: 30 },
      { digest: digestOf(6), sizeBytes: 20 },
    ];
    const active = { node: 'gpu1', inventory: { ...inventory([]), loose }, epoch: 7 };
    expect(plan([], [], { active, policy: { ...ALL, ahead: true } }).ahead).toEqual([
      { digest: digestOf(6), sizeBytes: 20, sources: ['gpu1'] },
      { digest: digestOf(5), sizeBytes: 10, sources: ['gpu1'] },
    ]);
    expect(plan([], [], { active }).ahead).toBeUndefined();
    const refused = { ...active, inventory: { ...active.inventory, refused: 'manifests-v2' } };
    expect(plan([], [], { active: refused, policy: { ...ALL, ahead: true } }).ahead).toBeUndefined();
  });

  it('takes only what the policy selects, required models always', () => {
    const policy = { include: [/^a/, /^must/], exclude: [/^ab/, /^must/], required: ['must'] };
    expect(names(plan([], [model('a'), model('ab'), model('b'), model('must')], { policy }).fetch)).toEqual(['must:latest', 'a:latest']);
  });

  it('never orders a path or digest that breaks the grammar', () => {
    const out = plan([], [model('a', { path: '../../../etc/passwd' }), model('b', { manifestDigest: '../x' })]);
    expect([out.fetch.length, out.refused.length]).toEqual([0, 2]);
  });

  const models = fc.uniqueArray(
    fc.record({ name: fc.constantFrom('a', 'A', 'b', 'c', 'd'), digest: fc.nat(3), size: fc.nat(50), complete: fc.boolean() }),
    { selector: ({ name }) => name },
  );
  const toModels = (list: readonly { name: string; digest: number; size: number; complete: boolean }[]) =>
    list.map(({ name, digest, size, complete }) =>
      model(name, { manifestDigest: digestOf(digest), sizeBytes: size, complete, missingBytes: complete ? 0 : size }),
    );

  it('is settled after its orders are carried out, and does not depend on the order of the inventories', () => {
    fc.assert(
      fc.property(models, models, (ownList, activeList) => {
        const [own, active] = [toModels(ownList), toModels(activeList)];
        const first = plan(own, active);
        expect(plan(own.toReversed(), active.toReversed())).toEqual(first);
        const fetched = new Map(active.map((entry) => [entry.path, entry]));
        const paths = new Set(first.fetch.map(({ path }) => path));
        const after = [...own.filter(({ path }) => !paths.has(path)), ...[...paths].flatMap((path) => fetched.get(path) ?? [])];
        expect(plan(after, active)).toMatchObject({ fetch: [], conflicts: [], bytesBehind: 0, refused: first.refused });
        expect(first.modelsComplete + first.fetch.length + first.refused.length).toBe(first.modelsTotal);
      }),
    );
  });

  it('never leaves two casings of one name side by side', () => {
    fc.assert(
      fc.property(models, (activeList) => {
        const keys = plan([], toModels(activeList)).fetch.map(({ path }) => path.toLowerCase());
        expect(new Set(keys).size).toBe(keys.length);
      }),
    );
  });
});
