// What this node says of itself and sees of the others: views made from the state, for frames, ranking and status.
import { backoffMsOf } from './flap.ts';
import { hotModelsOf } from './hotset/models.ts';
import { holderGone, holderSeen, rosterNow, youngMsOf } from './lease/view.ts';
import { isLeaving, lhmOf, membersOf } from './membership/machine.ts';
import { PROTOCOL } from './membership/protocol.ts';
import type { Frame, LeaseView, Member, MembershipEffect, NodeView } from './membership/types.ts';
import { bestHeir, type Candidate, type Fitness, fitterHeir, type HeirView, heirs, placeOf, vetoesOf } from './ranking.ts';
import { hashOf } from './settings/record.ts';
import type { CoreState } from './state.ts';
import { maintenanceOf, maintenanceText, pausedText } from './steer.ts';
import type { NodeId, Now, Role } from './types.ts';
import { phasesOf } from './watch.ts';

/** Loaded models told to others. */
const LOADED_MAX = 16;

// More than two are a flood, and two say all there is to say.
const WIRE_MACS_MAX = 4;

/** Role by the lease alone. */
export function roleOf(s: Pick<CoreState, 'leaseDesired' | 'config'>): Role {
  if (s.leaseDesired.acting) return 'active';
  return s.config.candidate ? 'standby' : 'witness';
}

/** Display names of required models that are not complete here. */
function requiredMissing(s: Pick<CoreState, 'config' | 'own'>): string[] {
  if (s.config.replication.required.length === 0) return [];
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
  return vetoesOf(fitnessOf(s));
}

/** The vetoes that stand even against an operator's order: the lease's rules and other orders. The rest is this node's judgement of itself. */
export function hardVetoes(s: CoreState): string[] {
  return vetoesOf({ ...fitnessOf(s), nofailover: false, requiredMissing: [], ollama: 'up' });
}

function fitnessOf(s: CoreState): Fitness {
  const maintenance = maintenanceOf(s, s.config.self.node);
  return {
    candidate: s.config.candidate,
    nofailover: s.config.nofailover,
    draining: s.stopping,
    left: s.left,
    paused: pausedText(s),
    maintenance: maintenance === undefined ? '' : maintenanceText(maintenance),
    inRoster: rosterNow(s.lease, s.config.roster).includes(s.config.self.node),
    ollama: s.verdict.ollama,
    ollamaReason: s.verdict.reason,
    requiredMissing: requiredMissing(s),
    fence: s.fence,
    fenceRequired: s.config.vip === 'fence-required',
    vip: s.config.vip !== 'none',
  };
}

/** What this node states about itself. */
export function ownView(s: CoreState, now: Now): NodeView {
  const own = s.own?.models ?? [];
  const complete = own.filter((m) => m.complete).length;
  const active = s.leaseDesired.acting;
  const heir = heirView(s, now);
  return {
    candidate: heir.candidate,
    nofailover: s.config.nofailover,
    draining: s.stopping || maintenanceOf(s, s.config.self.node) !== undefined,
    priority: heir.priority,
    ollama: s.verdict.ollama,
    ollamaReason: s.verdict.reason.slice(0, 200),
    ollamaVersion: s.verdict.version,
    ollamaAgeMs: ageMs(s.verdict.at, now.mono),
    modelsComplete: active || s.plan === null ? complete : s.plan.modelsComplete,
    modelsTotal: active || s.plan === null ? own.length : s.plan.modelsTotal,
    bytesBehind: heir.bytesBehind,
    hot: heir.hot,
    hotWanted: s.hot.report.wanted,
    loaded: hotModelsOf(s.health?.loaded ?? []).slice(0, LOADED_MAX),
    ollamaKind: s.verdict.kind,
    unfit: heir.unfit,
    load: heir.load,
    loopLagMs: s.load.loopLagMs,
    lhm: lhmOf(s.membership),
    fence: s.fence,
    vip: s.config.vip === 'none' ? 'none' : s.address.present === null ? 'unknown' : s.address.present ? 'present' : 'absent',
    mac: s.wire?.own ?? '',
    wireMacs: s.wire?.macs.slice(0, WIRE_MACS_MAX) ?? [],
    wireAgeMs: ageMs(s.wire?.at ?? now.mono, now.mono),
    deletionAlert: s.deletions.alert !== null,
    youngMs: heir.youngMs,
    backoffMs: heir.backoffMs,
    vetoes: heir.vetoes.slice(0, 8).map((v) => v.slice(0, 200)),
    version: s.config.version,
  };
}

/** Age in whole ms, 0 = now or never seen. */
export function ageMs(at: number, mono: number): number {
  return Number.isFinite(at) ? Math.max(0, Math.round(mono - at)) : 0;
}

/** The part of the own view that the order of heirs looks at: asked for at every step of the lease, the whole is made for heartbeats only. */
function heirView(s: CoreState, now: Now): HeirView {
  return {
    candidate: s.config.candidate && !s.left,
    priority: s.config.priority,
    hot: s.hot.report.hot,
    // The plan outlives the active from which it was made: what was not copied by then is still missing.
    bytesBehind: s.leaseDesired.acting ? 0 : (s.plan?.bytesBehind ?? 0),
    unfit: s.verdict.unfit,
    load: s.load.load,
    youngMs: youngMsOf(s.lease, now),
    backoffMs: backoffMsOf(s.losses.get(s.config.self.node) ?? [], now),
    vetoes: ownVetoes(s),
  };
}

/** This node as a candidate. */
export function selfCandidate(s: CoreState, now: Now): Candidate {
  return { node: s.config.self.node, view: heirView(s, now) };
}

/** The best other node that may take over now; null = nobody is better than staying. */
export function heirOf(s: CoreState, now: Now): NodeId | null {
  return bestHeir(selfCandidate(s, now), membersOf(s.membership));
}

/** The best other node that would serve better than this one, which still serves; null = none. */
export function fitterOf(s: CoreState, now: Now): NodeId | null {
  return fitterHeir(selfCandidate(s, now), membersOf(s.membership));
}

/** Who hears everybody in a large cluster: the holder, and the next two in line. */
export function hubsOf(s: CoreState, now: Now): NodeId[] {
  const holder = s.holder.node;
  const next = heirs(selfCandidate(s, now), membersOf(s.membership), holder).slice(0, 2);
  return [...(holder === '' ? [] : [holder]), ...next.map((c) => c.node)];
}

// The lease polls slowly from this rank on: who can never claim (a witness) need not watch closely.
const FIRST_FAR_RANK = 2;

/** Place of this node among the heirs of `holder`, 0 = first; behind all of them when it is none. */
export function rankOf(s: CoreState, now: Now): number {
  const holder = s.holder.node === s.config.self.node ? '' : s.holder.node;
  const { ahead, all } = placeOf(selfCandidate(s, now), membersOf(s.membership), holder);
  return s.config.candidate && !s.left ? ahead : Math.max(all, FIRST_FAR_RANK);
}

/** What this node believes of the lease. */
export function leaseView(s: CoreState, now: Now): LeaseView {
  const seen = holderSeen(s.lease, now);
  const mine = s.lease.phase.tag === 'active';
  return {
    epoch: s.holder.epoch,
    holder: s.holder.node,
    holderBoot: mine ? s.lease.self.boot : (seen?.boot ?? 0),
    lastAckAgeMs: seen?.ageMs ?? 0,
    leftMs: mine ? Math.max(0, Math.round(s.leaseDesired.validUntil - now.mono)) : 0,
    ttlMs: s.config.lease.ttlMs,
    mode: s.lease.phase.tag === 'active' && s.lease.phase.failsafeOn ? 'failsafe' : seen === null ? 'none' : 'redis',
    lockDelayMs: s.leaseDesired.lockDelayMs,
    cause: s.holder.cause,
    from: s.holder.from,
    by: s.holder.by,
    phasesMs: tellsTimes(s, now) ? phasesOf(s) : {},
  };
}

/** True when nobody can be active any more: the records have been still for too long, and no living node says that it acts (by failsafe). */
export function holderLost(s: CoreState, now: Now): boolean {
  return holderGone(s.lease, now) && !membersOf(s.membership).some((m) => m.state === 'alive' && m.frame?.role === 'active');
}

// Everybody hears the holder within this time; afterwards its heartbeats need not carry the past.
const TELL_MS = 10_000;

function tellsTimes(s: CoreState, now: Now): boolean {
  const { claimed, lease } = s;
  return claimed !== null && lease.phase.tag === 'active' && s.recordedEpoch === claimed.epoch && now.mono - claimed.at < TELL_MS;
}

/** Number of lease servers whose replies arrived within T. */
export function serversReached(s: CoreState, now: Now): number {
  let n = 0;
  s.lease.servers.forEach((seen, i) => {
    if (seen !== null && (s.lease.failing & (1 << i)) === 0 && now.mono - seen.seenAt < s.config.lease.ttlMs) n++;
  });
  return n;
}

/** Another heartbeat of the same round: what this node says of itself is the same for everybody. */
export function withBeat(frame: Frame, beat: Extract<MembershipEffect, { k: 'heartbeat' }>): Frame {
  const { inc, seq, echoSeq, echoDelayMs, updates, digest } = beat;
  return { ...frame, inc, seq, echoSeq, echoDelayMs, updates, digest };
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
    rosterVersion: s.lease.roster?.version ?? 0,
    leaving: isLeaving(s.membership),
    inventoryVersion: s.own?.version ?? 0,
    serversReached: serversReached(s, now),
    settingsVersion: s.settings.version,
    settingsHash: hashOf(s.settings),
  };
}

/** Highest epoch heard from peers. */
export function gossipEpoch(members: readonly Member[]): number {
  return members.reduce((max, m) => Math.max(max, m.frame?.maxEpoch ?? 0), 0);
}
