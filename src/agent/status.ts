// What operators see first: the status of the cluster, read from the core's newest state. Nothing is asked of anybody to answer them.

import { majorityOf } from '../core/lease/timing.ts';
import { holderSeen, rosterNow } from '../core/lease/view.ts';
import { membersOf } from '../core/membership/machine.ts';
import { protocolText } from '../core/membership/protocol.ts';
import { shrankText } from '../core/removals.ts';
import type { CoreState } from '../core/state.ts';
import { pausedText } from '../core/steer.ts';
import type { Now } from '../core/types.ts';
import { displayOf, leaseView, serversReached } from '../core/view.ts';
import type { NodeRow, StatusView } from './control.ts';
import type { RedisView } from './ports.ts';
import { healthRows, healthWarnings, hotMissing } from './status-health.ts';
import { holderName, rowsOf } from './status-members.ts';
import { addressWarnings, type KeepalivedFacts, keepalivedRow, roomOf, splitMacs, wireOwner } from './status-vip.ts';

/** What status needs besides the core's state. */
export type StatusFacts = {
  readonly state: CoreState;
  readonly now: Now;
  /** Monotonic ms of the newest turn. */
  readonly turnAt: number;
  readonly reason: string;
  readonly preset: string;
  /** VIP with its prefix; '' = none. */
  readonly vip: string;
  readonly redis: readonly RedisView[];
  /** What the address actuator has to say; '' = nothing. */
  readonly vipProblem: string;
  /** What there is to say about the certificates; absent or '' = nothing. */
  readonly pkiProblem?: string;
  /** What is wrong with the balancer on this host; absent or '' = nothing. */
  readonly nginxProblem?: string;
  /** Null = keepalived does not move the address here. */
  readonly keepalived: KeepalivedFacts | null;
  /** How late the main loop was over the last minute, 99th percentile, ms; null = not measured yet. */
  readonly loopLateP99Ms: number | null;
  readonly version: string;
};

/** `agentctl status` of this node. */
export function statusOf(f: StatusFacts): StatusView {
  const { state: s, now } = f;
  const lease = leaseView(s, now);
  const seen = holderSeen(s.lease, now);
  const owner = wireOwner(s, now);
  const rows = rowsOf(s, now);
  const mine = s.lease.phase.tag === 'active';
  const leftMs = mine ? lease.leftMs : seen === null ? -1 : Math.max(0, seen.ttlMs - seen.ageMs);
  return {
    cluster: s.config.cluster,
    asked: s.config.self.node,
    viewAgeMs: Math.max(0, Math.round(now.mono - f.turnAt)),
    epoch: lease.epoch,
    holder: holderName(s, now),
    leaseAgeMs: mine ? s.config.lease.ttlMs - lease.leftMs : (seen?.ageMs ?? -1),
    leaseLeftMs: leftMs,
    preset: f.preset,
    ttlMs: s.config.lease.ttlMs,
    renewMs: s.config.lease.renewMs,
    pollMs: s.config.lease.pollMs,
    lockDelayMs: lockDelayOf(s),
    lockDelayWhy: s.config.vip === 'none' ? 'no address' : s.fence === 'nft' ? 'nft' : s.fence,
    vip: f.vip,
    vipOwner: owner.node,
    vipOwnerMac: owner.mac,
    vipOwnerAgeMs: owner.ageMs,
    mode: modeOf(s, now),
    reason: f.reason,
    nodes: rows,
    warnings: warningsOf(f, rows),
    redis: f.redis.map((r) => ({
      server: r.server,
      runId: r.runId,
      up: r.up,
      latencyMs: r.latencyMs,
      lastError: r.lastError,
      latencyP50Ms: r.p50Ms,
      latencyP99Ms: r.p99Ms,
      lastReplyAgeMs: Number.isFinite(r.lastReplyAt) ? Math.round(now.mono - r.lastReplyAt) : -1,
    })),
    splitBrain: splitMacs(s, now).length > 1,
    version: f.version,
    pausedBy: s.settings.pausedBy,
    planned:
      s.settings.schedule === null ? null : { to: s.settings.schedule.to, atMs: s.settings.schedule.atMs, by: s.settings.schedule.by },
    roster: rosterNow(s.lease, s.config.roster),
    rosterVersion: s.lease.roster?.version ?? 0,
    settingsVersion: s.settings.version,
    keepalived: keepalivedRow(f.keepalived, now),
    loopLateP99Ms: f.loopLateP99Ms ?? -1,
    health: healthRows(s, now),
    hotMissing: hotMissing(s),
    wallMs: now.wall,
  };
}

function lockDelayOf(s: CoreState): number {
  if (s.lease.phase.tag === 'active') return s.lease.phase.lockDelayMs;
  const seen = s.lease.servers.find((o) => o !== null && o.snap.o !== '');
  return seen?.meta.lockDelayMs ?? 0;
}

function modeOf(s: CoreState, now: Now): StatusView['mode'] {
  const holder = membersOf(s.membership).find((m) => m.node === s.holder.node);
  const mine = s.lease.phase.tag === 'active';
  if (mine ? s.lease.phase.tag === 'active' && s.lease.phase.failsafeOn : holder?.frame?.lease.mode === 'failsafe') return 'failsafe';
  if (serversReached(s, now) < majorityOf(s.config.lease.servers)) return 'no-redis';
  if (s.settings.paused) return 'paused';
  return s.stuck === '' ? 'normal' : 'degraded';
}

function warningsOf(f: StatusFacts, rows: readonly NodeRow[]): string[] {
  const { state: s } = f;
  const warnings: string[] = [];
  warnings.push(...addressWarnings(s, f.now, f.keepalived));
  if (s.stuck !== '') warnings.push(s.stuck);
  if (s.settings.paused) warnings.push(`${pausedText(s)}: nobody takes over until agentctl resume`);
  const heirsReady = rows.filter(
    (r) => r.node !== s.holder.node && (r.state === 'alive' || r.state === 'self') && r.role === 'standby' && r.vetoes.length === 0,
  );
  if (s.holder.node !== '' && heirsReady.length === 0) warnings.push('no standby can take over');
  for (const m of membersOf(s.membership)) if (m.foreign != null) warnings.push(protocolText(m.node, m.foreign));
  for (const r of f.redis)
    if (!r.up) warnings.push(`Redis ${r.server} does not answer: ${r.lastError === '' ? 'no connection' : r.lastError}`);
  warnings.push(...roomOf(s, f.preset, f.redis, f.loopLateP99Ms));
  if (f.vipProblem !== '') warnings.push(`address: ${f.vipProblem}`);
  if (f.pkiProblem !== undefined && f.pkiProblem !== '') warnings.push(`certificates: ${f.pkiProblem}`);
  if (f.nginxProblem !== undefined && f.nginxProblem !== '') warnings.push(`nginx: ${f.nginxProblem}`);
  if (s.plan !== null && s.plan.blocked !== null) warnings.push(`replication is blocked: ${s.plan.blocked}`);
  if (s.deletions.alert !== null) warnings.push(shrankText(s.deletions.alert));
  for (const c of s.plan?.conflicts ?? []) warnings.push(`${displayOf(c.path)} differs from the active's`);
  for (const r of s.plan?.refused ?? []) warnings.push(`${displayOf(r.path)} is not copied: ${r.reason}`);
  warnings.push(...healthWarnings(s, rows, f.now));
  return warnings;
}
