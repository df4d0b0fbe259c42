// `hot` in the matrix of `agentctl models`: what is in memory where, by the digest of the weights.
import { expect, it } from 'vitest';
import { modelsOf } from '../../src/agent/status-models.ts';
import type { Evidence } from '../../src/core/health/types.ts';
import { createCluster, inventory } from '../core/cluster.ts';

const nodes = ['a', 'b', 'c'] as const;
const loaded = (digest: string): Evidence => ({
  k: 'ps',
  status: 200,
  ms: 1,
  loaded: [{ name: 'm:latest', digest, sizeBytes: 1000, vramBytes: 1000, contextLength: 4096, expiresInMs: null }],
});

/** What every node says is hot, after `evidence` on one of them. */
function hotSeen(evidence: Evidence): readonly (readonly string[])[] {
  const cluster = createCluster(nodes);
  const first = cluster.elect(10_000);
  for (const node of nodes) cluster.put(node, { k: 'inventory', inventory: inventory(1, ['m']) });
  cluster.run(cluster.now() + 1000);
  cluster.put(first, { k: 'evidence', evidence });
  cluster.run(cluster.now() + 2000);
  return nodes.map((node) => {
    const cells = modelsOf(cluster.get(node).state).models.flatMap((model) => model.cells);
    return cells.filter((cell) => cell.hot).map((cell) => (cell.node === first ? 'the loading node' : cell.node));
  });
}

it('says on every node that a model is hot on the node that has it in memory, and only there', () => {
  expect(hotSeen(loaded('ab'.repeat(32)))).toEqual([['the loading node'], ['the loading node'], ['the loading node']]);
});

it('calls no model hot whose weights are not those in memory', () => {
  expect(hotSeen(loaded('12'.repeat(32)))).toEqual([[], [], []]);
});
