// Who hears whom. Up to 16 nodes everyone hears everyone; beyond, each node sends to its ring successors and, in turn, to the rest.
import type { NodeId } from '../types.ts';
import { ALL_TO_ALL_MAX, RING_SUCCESSORS, ROTATION_BATCH, ROTATION_MS } from './limits.ts';
import { byName } from './merge.ts';

/** The nodes after `self` on the ring of names, at most RING_SUCCESSORS; all others when they are few. */
export function successorsOf(self: NodeId, others: readonly NodeId[]): readonly NodeId[] {
  if (others.length < ALL_TO_ALL_MAX) return others;
  return around(self, others).slice(0, RING_SUCCESSORS);
}

/** The nodes that send to `self` at every heartbeat. */
export function predecessorsOf(self: NodeId, others: readonly NodeId[]): ReadonlySet<NodeId> {
  if (others.length < ALL_TO_ALL_MAX) return new Set(others);
  return new Set(around(self, others).slice(-RING_SUCCESSORS));
}

/** How often a node that is no predecessor comes round, ms. */
export function rotationIntervalMs(others: number): number {
  return Math.max(1, Math.ceil((others - RING_SUCCESSORS) / ROTATION_BATCH)) * ROTATION_MS;
}

function around(self: NodeId, others: readonly NodeId[]): readonly NodeId[] {
  const sorted = [...others].sort(byName);
  const at = sorted.findIndex((name) => name > self);
  return at < 0 ? sorted : [...sorted.slice(at), ...sorted.slice(0, at)];
}
