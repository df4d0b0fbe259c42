// The roster: which nodes may ever claim. It stands in the record's meta and is changed by the holder only.
//
//   - A claimant must appear in every record it replaces, and in the newest roster it ever saw. Any majority it claims on contains a server that
//     carries the roster of the last holder, so a node that was taken out cannot claim, and one not yet taken in cannot either.
//   - A change goes out with the renewals of the same epoch. It counts once a majority carries it; failsafe asks the members of both rosters
//     until no renewal with the old one can still arrive (T after the change).
//   - A claim carries the newest roster its node knows, under the next version: what an earlier holder could not finish is thereby superseded.
import type { NodeId, Now } from '../types.ts';
import type { Observation } from './observe.ts';
import type { Active, Draft, Round } from './state.ts';
import type { LeaseMeta, Roster } from './types.ts';

/** The newest roster this node has seen; before any record named one, the configured one. */
export function rosterOf(d: Pick<Draft, 'roster' | 'ctx'>): Roster {
  return d.roster ?? { epoch: 0, version: d.ctx.rosterVersion, nodes: d.ctx.roster };
}

/** Takes the roster of an observed record into account. */
export function learnRoster(d: Draft, seen: Observation): void {
  const { roster, rosterVersion } = seen.meta;
  if (roster.length === 0 || seen.snap.o === '') return;
  const epoch = Number(seen.snap.e);
  const known = d.roster;
  const newer = known === null || rosterVersion > known.version || (rosterVersion === known.version && epoch > known.epoch);
  if (newer) d.roster = { epoch, version: rosterVersion, nodes: roster };
}

/** Whether this node may replace the record: nobody claims over a record whose roster it is not in. */
export function mayReplace(seen: Observation, node: NodeId): boolean {
  return seen.snap.o === '' || seen.meta.roster.length === 0 || seen.meta.roster.includes(node);
}

/** The meta text of an epoch under this roster. */
export function metaText(d: Pick<Draft, 'ctx' | 'config'>, lockDelayMs: number, roster: Omit<Roster, 'epoch'>): string {
  const meta: LeaseMeta = {
    addr: d.ctx.address,
    ttl: d.config.ttlMs,
    lockDelay: lockDelayMs,
    roster: roster.nodes,
    rosterVersion: roster.version,
  };
  return JSON.stringify(meta);
}

/** The holder changes the roster: renewed at once under the same epoch. One change at a time; never itself out. */
export function changeRoster(d: Draft, nodes: readonly NodeId[], now: Now): void {
  const phase = d.phase;
  if (phase.tag !== 'active' || phase.lapsed || phase.changing !== null || !nodes.includes(d.self.node)) return;
  const next: Roster = { epoch: phase.epoch, version: rosterOf(d).version + 1, nodes };
  d.roster = next;
  const changing = { before: phase.roster, since: now.mono, carried: false };
  d.phase = { ...phase, roster: nodes, meta: metaText(d, phase.lockDelayMs, next), changing, nextRenewAt: now.mono };
}

/** How far a change has come, after a majority acknowledged `round`. */
export function settleRoster(d: Draft, phase: Active, round: Round): Active['changing'] {
  const changing = phase.changing;
  if (changing === null || round.sentAt < changing.since) return changing;
  if (!changing.carried) {
    const { version } = rosterOf(d);
    d.effects.push({ k: 'event', event: { k: 'rosterChanged', version, nodes: phase.roster } });
  }
  return round.sentAt >= changing.since + d.config.ttlMs ? null : { ...changing, carried: true };
}

/** Whom failsafe must ask: everybody who may claim under the roster of now or, while a change is under way, of before. */
export function votersOf(phase: Active): readonly NodeId[] {
  return phase.changing === null ? phase.roster : [...new Set([...phase.roster, ...phase.changing.before])];
}
