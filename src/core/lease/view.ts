// Read-only views of the lease for ranking, frames and status.
import { bootOf, type NodeId, type Now, nodeOf } from '../types.ts';
import type { LeaseState } from './state.ts';
import { majorityOf, waitMs } from './timing.ts';

/** The holder as a majority of servers names it. */
export type HolderSeen = {
  readonly node: NodeId;
  readonly boot: number;
  readonly epoch: number;
  readonly released: boolean;
  readonly ageMs: number;
  readonly ttlMs: number;
};

/** Owner that a majority of the observed servers agrees on, with the age of the newest renewal seen; null = no majority, or vacant. */
export function holderSeen(s: LeaseState, now: Now): HolderSeen | null {
  const majority = majorityOf(s.config.servers);
  for (const first of s.servers) {
    if (first === null || first.snap.o === '') continue;
    const { o, e } = first.snap;
    let votes = 0;
    let released = false;
    let at = Number.NEGATIVE_INFINITY;
    for (const seen of s.servers) {
      if (seen === null || seen.snap.o !== o || seen.snap.e !== e) continue;
      votes += 1;
      at = Math.max(at, seen.recSince);
      if (seen.snap.rel === '1') released = true;
    }
    if (votes < majority) continue;
    const node = nodeOf(o);
    if (node === null) return null;
    return { node, boot: bootOf(o) ?? 0, epoch: Number(e), released, ageMs: Math.round(now.mono - at), ttlMs: first.meta.ttlMs };
  }
  return null;
}

/** The roster this node goes by; before any record named one, the configured one. */
export function rosterNow(s: Pick<LeaseState, 'roster'>, configured: readonly NodeId[]): readonly NodeId[] {
  return s.roster?.nodes ?? configured;
}

/**
 * True when a majority of records has not changed for so long that their owner can no longer be active, or nobody owns them. False while the
 * servers cannot be read, or an owner may still be at work.
 */
export function holderGone(s: LeaseState, now: Now): boolean {
  if (s.phase.tag === 'active' && !s.phase.lapsed) return false;
  let quiet = 0;
  s.servers.forEach((seen, i) => {
    if (seen === null || (s.failing & (1 << i)) !== 0) return;
    const { ttlMs, lockDelayMs } = seen.meta;
    const free = seen.snap.o === '' || seen.snap.rel === '1';
    if (free || now.mono - seen.recSince > waitMs(Math.max(ttlMs, s.config.ttlMs) + lockDelayMs, s.config.driftPpm)) quiet++;
  });
  return quiet >= majorityOf(s.config.servers);
}

/** How long this process is too young to claim anything; 0 = old enough. Measured from its first majority of replies. */
export function youngMsOf(s: LeaseState, now: Now): number {
  const wait = waitMs(s.config.ttlMs + s.config.lockDelayMs, s.config.driftPpm);
  const from = majorityRunSince(s);
  return from === null ? wait : Math.max(0, Math.ceil(from + wait - now.mono));
}

/** Since when a majority of the servers has been seen in their present runs; null = it has not. Without a list: asked at every turn. */
function majorityRunSince(s: LeaseState): number | null {
  const majority = majorityOf(s.config.servers);
  for (const last of s.servers) {
    if (last === null) continue;
    let before = 0;
    let upTo = 0;
    for (const seen of s.servers) {
      if (seen === null || seen.runSince > last.runSince) continue;
      upTo += 1;
      if (seen.runSince < last.runSince) before += 1;
    }
    if (before < majority && upTo >= majority) return last.runSince;
  }
  return null;
}
