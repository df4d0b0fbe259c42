// What two reports on one node add up to. Rules: higher boot wins; then higher incarnation; at equal incarnation the later word of
// alive < suspect < dead < left, accusers united. A maximum in a total order plus a bounded union: commutative, associative and idempotent,
// so the order in which gossip arrives does not matter.
//
// A remote "dead" counts as one more accusation, so hearsay can never kill. "left" is believed only as the node's own word.
import type { NodeId } from '../types.ts';
import { ACCUSERS_MAX } from './limits.ts';
import type { MemberState, MemberUpdate } from './types.ts';

/** The mergeable part of what is believed of a node. `accusers` are sorted and bounded. */
export type MemberRecord = {
  readonly boot: number;
  readonly inc: number;
  readonly state: MemberState;
  readonly accusers: readonly NodeId[];
};

const RANK: Readonly<Record<MemberState, number>> = { alive: 0, suspect: 1, dead: 2, left: 3 };

/** Below every record a node can produce. */
export const NEVER_HEARD: MemberRecord = { boot: 0, inc: 0, state: 'dead', accusers: [] };

/** > 0 when `a` speaks of a later incarnation than `b`, 0 when of the same. */
export function compareAge(a: MemberRecord, b: MemberRecord): number {
  return a.boot === b.boot ? a.inc - b.inc : a.boot - b.boot;
}

/** The join of two reports on the same node. */
export function merge(a: MemberRecord, b: MemberRecord): MemberRecord {
  const age = compareAge(a, b);
  if (age > 0) return a;
  if (age < 0) return b;
  const accusers = uniteAccusers(a.accusers, b.accusers);
  const top = RANK[a.state] >= RANK[b.state] ? a : b;
  return sameList(accusers, top.accusers) ? top : { ...top, accusers };
}

/** Whether two records say the same. */
export function sameRecord(a: MemberRecord, b: MemberRecord): boolean {
  return compareAge(a, b) === 0 && a.state === b.state && sameList(a.accusers, b.accusers);
}

/** What a gossiped line claims, weakened to what hearsay may claim. */
export function recordOf(update: MemberUpdate): MemberRecord {
  const { boot, inc, node, by } = update;
  if (update.state === 'alive') return { boot, inc, state: 'alive', accusers: [] };
  if (update.state !== 'suspect' && by === node) return { boot, inc, state: 'left', accusers: [] };
  return { boot, inc, state: 'suspect', accusers: by === node ? [] : [by] };
}

/** Smallest names first, bounded: a bounded union must drop the same names in whatever order it is built. */
function uniteAccusers(a: readonly NodeId[], b: readonly NodeId[]): readonly NodeId[] {
  if (b.length === 0) return a;
  if (a.length === 0) return b;
  return [...new Set([...a, ...b])].sort(byName).slice(0, ACCUSERS_MAX);
}

function sameList(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}

/** Plain code-unit order, the same on every node whatever its locale. */
export function byName(a: NodeId, b: NodeId): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
