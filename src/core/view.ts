// What this node says of itself and sees of the others: views made from the state, for frames, ranking and status.
import { holderSeen, youngMsOf } from './lease/view.ts';
import { isLeaving, lhmOf, membersOf } from './membership/machine.ts';
import type { Frame, LeaseView, Member, MembershipEffect, NodeView } from './membership/types.ts';
import { bestHeir, type Candidate, heirs, vetoesOf } from './ranking.ts';
import type { CoreState } from './state.ts';
import type { NodeId, Now, Role } from './types.ts';

/** Versions of the peer protocol this program speaks. */
const PROTOCOL = { v: 1, vMin: 1 } as const;

/** Role by the lease alone. */
export function roleOf(s: Pick<CoreState, 'leaseDesired' | 'config'>): Role {
  if (s.leaseDesired.acting) return 'active';
  return s.config.candidate ? 'standby' : 'witness';
}

/** Display names of required models that are not complete here. */
function requiredMissing(s: Pick<CoreState, 'config' | 'own'>): string[] {
  const complete = new Set(s.own?.models.filter((m) => m.complete).map((m) => displayOf(m.path)));
  return s.config.replication.required.filter((name) => !complete.has(name.includes(':') ? name : `${name}:latest`));
}

/** Shortest form of a model path, as Ollama shows it. */
export function displayOf(path: string): string {
  const [host = '', namespace = '', model = '', tag = ''] = path.split('/');
  const name = `${model}:${tag}`;
  if (host !== 'registry.ollama.ai') return `${host}/${namespace}/${name}`;
  return namespace === 'library' ? name : `${namespace}/${name}`;
}

/** Every veto of this node. */
export function ownVetoes(s: CoreState): string[] {
  return vetoesOf({
    candidate: s.config.candidate,
    nofailover: s.config.nofailover,
    draining: s.stopping,
    inRoster: s.config.roster.includes(s.config.self.node),
    ollama: s.verdict.ollama,
    ollamaReason: s.verdict.reason,
    requiredMissing: requiredMissing(s),
    fence: s.fence,
    fenceRequired: s.config.vip === 'fence-required',
    vip: s.config.vip !== 'none',
  });
}

/** What this node states about itself. */
export function ownView(s: CoreState, now: Now): NodeView {
  const own = s.own?.models ?? [];
  const complete = own.filter((m) => m.complete).length;
  const active = s.leaseDesired.acting;
  return {
    candidate: s.config.candidate,
    nofailover: s.config.nofailover,
    draining: s.stopping,
    priority: s.config.priority,
    ollama: s.verdict.ollama,
    ollamaReason: s.verdict.reason.slice(0, 200),
    ollamaVersion: s.verdict.version,
    ollamaAgeMs: ageMs(s.verdict.at, now.mono),
    modelsComplete: active || s.plan === null ? complete : s.plan.modelsComplete,
    modelsTotal: active || s.plan === null ? own.length : s.plan.modelsTotal,
    bytesBehind: active ? 0 : (s.plan?.bytesBehind ?? 0),
    hot: 0,
    hotWanted: 0,
    load: s.load.load,
    loopLagMs: s.load.loopLagMs,
    lhm: lhmOf(s.membership),
    fence: s.fence,
    vip: s.config.vip === 'none' ? 'none' : s.address.present === null ? 'unknown' : s.address.present ? 'present' : 'absent',
    mac: s.wire?.own ?? '',
    youngMs: youngMsOf(s.lease, now),
    vetoes: ownVetoes(s)
      .slice(0, 8)
      .map((v) => v.slice(0, 200)),
    version: s.config.version,
  };
}

/** Age in whole ms, 0 = now or never seen. */
export function ageMs(at: number, mono: number): number {
  return Number.isFinite(at) ? Math.max(0, Math.round(mono - at)) : 0;
}

/** This node as a candidate. */
export function selfCandidate(s: CoreState, now: Now): Candidate {
  return { node: s.config.self.node, view: ownView(s, now) };
}

/** The best other node that may take over now; null = nobody is better than staying. */
export function heirOf(s: CoreState, now: Now): NodeId | null {
  return bestHeir(selfCandidate(s, now), membersOf(s.membership));
}

// The lease polls slowly from this rank on: who can never claim (a witness) need not watch closely.
const FIRST_FAR_RANK = 2;

/** Place of this node among the heirs of `holder`, 0 = first; behind all of them when it is none. */
export function rankOf(s: CoreState, now: Now): number {
  const order = heirs(selfCandidate(s, now), membersOf(s.membership), s.holder.node === s.config.self.node ? '' : s.holder.node);
  const at = order.findIndex((c) => c.node === s.config.self.node);
  return at < 0 ? Math.max(order.length, FIRST_FAR_RANK) : at;
}

/** What this node believes of the lease. */
export function leaseView(s: CoreState, now: Now): LeaseView {
  const seen = holderSeen(s.lease, now);
  const mine = s.lease.phase.tag === 'active';
  return {
    epoch: s.holder.epoch,
    holder: s.holder.node,
    holderBoot: mine ? s.config.self.boot : (seen?.boot ?? 0),
    lastAckAgeMs: seen?.ageMs ?? 0,
    leftMs: mine ? Math.max(0, Math.round(s.leaseDesired.validUntil - now.mono)) : 0,
    ttlMs: s.config.lease.ttlMs,
    mode: s.lease.phase.tag === 'active' && s.lease.phase.failsafeOn ? 'failsafe' : seen === null ? 'none' : 'redis',
    lockDelayMs: s.leaseDesired.lockDelayMs,
    cause: s.holder.cause,
    from: s.holder.from,
  };
}

/** Number of lease servers whose replies arrived within T. */
export function serversReached(s: CoreState, now: Now): number {
  let n = 0;
  s.lease.servers.forEach((seen, i) => {
    if (seen !== null && (s.lease.failing & (1 << i)) === 0 && now.mono - seen.seenAt < s.config.lease.ttlMs) n++;
  });
  return n;
}

/** A whole heartbeat from membership's part of it. */
export function frameOf(s: CoreState, beat: Extract<MembershipEffect, { k: 'heartbeat' }>, now: Now): Frame {
  return {
    ...PROTOCOL,
    cluster: s.config.cluster,
    node: s.config.self.node,
    boot: s.config.self.boot,
    inc: beat.inc,
    seq: beat.seq,
    echoSeq: beat.echoSeq,
    echoDelayMs: beat.echoDelayMs,
    role: roleOf(s),
    lease: leaseView(s, now),
    view: ownView(s, now),
    updates: beat.updates,
    digest: beat.digest,
    maxEpoch: s.lease.epochKnown,
    rosterVersion: 1,
    leaving: isLeaving(s.membership),
    inventoryVersion: s.own?.version ?? 0,
    serversReached: serversReached(s, now),
  };
}

/** Highest epoch heard from peers. */
export function gossipEpoch(members: readonly Member[]): number {
  return members.reduce((max, m) => Math.max(max, m.frame?.maxEpoch ?? 0), 0);
}
