import { expect, it } from 'vitest';
import { inventory } from './cluster.ts';
import { settled } from './orders-kit.ts';

const fresh = () => {
  const cluster = settled();
  cluster.put('a', { k: 'inventory', inventory: inventory(2, ['m', 'n']) });
  for (const node of ['b', 'c']) cluster.put(node, { k: 'inventory', inventory: inventory(1, ['m']) });
  return cluster;
};

it('a standby that lacks a model comes after one that has it, whatever their priorities, and says so to others', () => {
  const cluster = fresh();
  cluster.put('c', { k: 'inventory', inventory: inventory(2, ['m', 'n']) });
  cluster.run(cluster.now() + 2000);
  const told = cluster.get('b').state.plan?.bytesBehind ?? 0;
  expect(told).toBeGreaterThan(0);
  cluster.kill('a');
  cluster.run(cluster.now() + 6000);
  expect(cluster.active()).toEqual(['c']);
});

it('among equals the preferred one comes first, and the lag is remembered when the active is gone', () => {
  const cluster = fresh();
  cluster.run(cluster.now() + 2000);
  cluster.kill('a');
  cluster.run(cluster.now() + 6000);
  expect(cluster.active()).toEqual(['b']);
});
