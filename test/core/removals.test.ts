// Deletions through the whole core: three nodes, one active, what its inventory says over time.
import { describe, expect, it } from 'vitest';
import { alertedNodes } from '../../src/core/removals.ts';
import { createCluster, inventory } from './cluster.ts';

const GRACE = 20_000;
const MANY = ['a', 'b', 'c', 'd', 'e', 'f'];

/** A cluster whose nodes all hold the same models, and who is active in it. */
function level(names: readonly string[]) {
  const nodes = ['x', 'y', 'z'];
  const cluster = createCluster(nodes, () => ({ deletion: { follow: true, graceMs: GRACE, maxPerPass: 3 } }));
  const active = cluster.elect(10_000);
  for (const node of nodes) cluster.put(node, { k: 'inventory', inventory: inventory(1, names) });
  const run = (ms: number) => {
    for (let left = ms; left > 0; left -= 500) {
      for (const node of nodes) if (cluster.get(node).alive) cluster.healthy(node);
      cluster.run(cluster.now() + Math.min(500, left));
    }
  };
  run(12_000);
  const removals = (node: string) => cluster.get(node).turn.desired.remove.map(({ path }) => path.split('/')[2]);
  const standbys = nodes.filter((node) => node !== active);
  return { cluster, active, standbys, run, removals };
}

describe('deletions in a cluster', () => {
  it('reach every standby after the grace time, under the epoch of the active', () => {
    const { cluster, active, standbys, run, removals } = level(MANY);
    cluster.put(active, { k: 'inventory', inventory: inventory(2, MANY.slice(1)) });
    run(GRACE - 1000);
    expect(standbys.map(removals)).toEqual([[], []]);
    run(3000);
    expect(standbys.map(removals)).toEqual([['a'], ['a']]);
    expect(removals(active)).toEqual([]);
    const [first = ''] = standbys;
    expect(cluster.get(first).turn.desired.remove[0]?.epoch).toBe(cluster.get(active).state.holder.epoch);
    cluster.put(first, { k: 'inventory', inventory: inventory(2, MANY.slice(1)) });
    run(1000);
    expect(standbys.map(removals)).toEqual([[], ['a']]);
  });

  it('never follow a failover: the new active has what it has', () => {
    const { cluster, active, standbys, run, removals } = level(MANY);
    cluster.put(active, { k: 'inventory', inventory: inventory(2, MANY.slice(1)) });
    run(2000);
    cluster.kill(active);
    run(GRACE + 10_000);
    expect(standbys.map(removals)).toEqual([[], []]);
  });

  it('stop at a source that shrank suddenly, until an operator accepts the loss', () => {
    const { cluster, active, standbys, run, removals } = level(MANY);
    const [first = '', second = ''] = standbys;
    cluster.put(active, { k: 'inventory', inventory: inventory(2, []) });
    run(2 * GRACE);
    expect(standbys.map(removals)).toEqual([[], []]);
    expect(cluster.get(first).log.filter((line) => line.endsWith(' replication_source_shrank'))).toHaveLength(1);
    // Word about another holder's time says nothing of this one (S4).
    const { epoch } = cluster.get(active).state.holder;
    cluster.put(second, { k: 'peer', from: first, msg: { k: 'acceptDeletes', epoch: epoch - 1, by: 'ann' } });
    run(1000);
    expect(removals(second)).toEqual([]);
    expect(alertedNodes(cluster.get(active).state)).toEqual([...standbys].sort());
    // On whatever node it is said: here on the active, which has no alert itself.
    cluster.put(active, { k: 'acceptDeletes', by: 'ann' });
    run(1000);
    expect([removals(first).length, removals(second).length, removals(active).length]).toEqual([3, 3, 0]);
    expect(alertedNodes(cluster.get(active).state)).toEqual([]);
  });

  it('are not followed where the configuration does not say so', () => {
    const cluster = createCluster(['x', 'y']);
    const active = cluster.elect(10_000);
    for (const node of ['x', 'y']) cluster.put(node, { k: 'inventory', inventory: inventory(1, MANY) });
    cluster.run(cluster.now() + 5000);
    cluster.put(active, { k: 'inventory', inventory: inventory(2, MANY.slice(1)) });
    cluster.run(cluster.now() + 5000);
    for (const node of ['x', 'y']) expect(cluster.get(node).state.deletions.tombstones.size).toBe(0);
  });
});

describe('the repair of the active', () => {
  it('fetches the blobs of a broken model from a standby that holds it, without its manifest', () => {
    const { cluster, active, run } = level(MANY);
    expect(cluster.get(active).turn.desired.replicate).toBeNull();
    const whole = inventory(2, MANY);
    const broken = whole.models.map((model, i) => (i === 0 ? { ...model, complete: false, missingBytes: 10 } : model));
    cluster.put(active, { k: 'inventory', inventory: { ...whole, models: broken } });
    run(1000);
    expect(cluster.get(active).turn.desired.replicate?.fetch).toMatchObject([{ path: broken[0]?.path, blobsOnly: true }]);
    cluster.put(active, { k: 'inventory', inventory: inventory(3, MANY) });
    run(1000);
    expect(cluster.get(active).turn.desired.replicate).toBeNull();
  });
});
