// Who hears whom. Up to 16 nodes everyone hears everyone; beyond, each node sends to its ring successors, to the hubs (the active and its
// heirs, named by the composition) and, in turn, to the rest.
import type { NodeId } from '../types.ts';
import { ALL_TO_ALL_MAX, RING_SUCCESSORS, ROTATION_BATCH, ROTATION_MS } from './limits.ts';
import { byName } from './merge.ts';

/** The live others, and what follows from them for one node. */
export type Ring = {
  /** In the order in which they were learned. */
  readonly live: readonly NodeId[];
  /** Who is sent every heartbeat: the nodes after this one on the ring of names, or all when they are few. */
  readonly successors: readonly NodeId[];
  /** Who sends this node every heartbeat. */
  readonly speakers: ReadonlySet<NodeId>;
  /** How often another node comes round, ms. */
  readonly restMs: number;
};

/** The ring as `self` sees it. */
export function ringOf(self: NodeId, live: readonly NodeId[]): Ring {
  const restMs = Math.max(1, Math.ceil((live.length - RING_SUCCESSORS) / ROTATION_BATCH)) * ROTATION_MS;
  if (live.length < ALL_TO_ALL_MAX) return { live, successors: live, speakers: new Set(live), restMs };
  const round = around(self, live);
  return { live, successors: round.slice(0, RING_SUCCESSORS), speakers: new Set(round.slice(-RING_SUCCESSORS)), restMs };
}

function around(self: NodeId, others: readonly NodeId[]): readonly NodeId[] {
  const sorted = [...others].sort(byName);
  const at = sorted.findIndex((name) => name > self);
  return at < 0 ? sorted : [...sorted.slice(at), ...sorted.slice(0, at)];
}
