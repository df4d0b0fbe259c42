// A virtual cluster of three with a as the holder, and the orders that tests give it.
import { expect } from 'vitest';
import type { CoreConfig } from '../../src/core/config.ts';
import { createCluster } from './cluster.ts';

export const abc = ['a', 'b', 'c'];

/** a is preferred, then b. */
export const aFirst = (node: string): Partial<CoreConfig> => ({ priority: node === 'a' ? 2 : node === 'b' ? 1 : 0 });

/** Three nodes with a as the holder, old enough that every one may take over. */
export function settled(over = aFirst, nodes: readonly string[] = abc) {
  const cluster = createCluster(nodes, over);
  expect(cluster.elect(10_000)).toBe('a');
  cluster.run(cluster.now() + 5000);
  return cluster;
}

export type Cluster = ReturnType<typeof settled>;

/** pause, or resume. */
export const pause = (paused: boolean, wait = false) => ({ k: 'pause', paused, by: 'ann', wait }) as const;

/** maintenance on or off; a drain with `drainMs`. */
export const maintain = (node: string, on: boolean, drainMs: number | null = null) =>
  ({ k: 'maintenance', node, on, by: 'ann', wait: false, drainMs }) as const;

/** The sentence of a node's newest turn. */
export const reasonOf = (cluster: Cluster, node: string) => cluster.get(node).turn.reason;

/** What a node would say next if it were active under this epoch. */
export function activeFrame(cluster: Cluster, node: string, epoch: number) {
  const frame = cluster
    .get(node)
    .effects.flatMap((e) => (e.k === 'send' && e.msg.k === 'frame' ? [e.msg.frame] : []))
    .at(-1);
  if (frame === undefined) throw new Error(`${node} has said nothing yet`);
  const { lease, seq } = frame;
  return {
    k: 'frame',
    frame: { ...frame, seq: seq + 1, role: 'active', lease: { ...lease, epoch, holder: node, cause: 'expired' } },
  } as const;
}
