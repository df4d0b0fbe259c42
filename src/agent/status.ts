// What operators see: status, explain and models, read from the core's newest state. Nothing is asked of anybody to answer them.

import { majorityOf } from '../core/lease/timing.ts';
import { holderSeen, rosterNow } from '../core/lease/view.ts';
import { membersOf } from '../core/membership/machine.ts';
import type { Member, NodeView } from '../core/membership/types.ts';
import { heirs } from '../core/ranking.ts';
import { shrankText } from '../core/removals.ts';
import type { Inventory } from '../core/replication/types.ts';
import type { CoreState } from '../core/state.ts';
import { maintenanceOf, maintenanceText, pausedText } from '../core/steer.ts';
import type { NodeId, Now } from '../core/types.ts';
import { displayOf, holderLost, leaseView, ownView, roleOf, selfCandidate, serversReached } from '../core/view.ts';
import type { ExplainView, ModelCell, ModelsView, NodeRow, StatusView } from './control.ts';
import { ControlError } from './control.ts';
import type { RedisView } from './ports.ts';
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

/** The holder; '' when nobody can be active any more, whatever the record says. */
function holderName(s: CoreState, now: Now): NodeId | '' {
  return holderLost(s, now) ? '' : s.holder.node;
}

function rowsOf(s: CoreState, now: Now): NodeRow[] {
  const holder = holderName(s, now);
  const order = heirs(selfCandidate(s, now), membersOf(s.membership), holder).map((c) => c.node);
  const self = s.config.self.node;
  const view = ownView(s, now);
  const own: NodeRow = {
    node: self,
    address: s.config.address,
    role: roleOf(s),
    assignedRole: holder === self ? 'active' : s.config.candidate ? 'standby' : 'witness',
    state: 'self',
    epoch: s.holder.epoch,
    seenMs: 0,
    rank: order.indexOf(self),
    rttMs: 0,
    ...shared(view, holder === self),
  };
  return [own, ...membersOf(s.membership).map((m) => peerRow(s, m, order.indexOf(m.node), now))].sort((a, b) => (a.node < b.node ? -1 : 1));
}

function peerRow(s: CoreState, m: Member, rank: number, now: Now): NodeRow {
  const f = m.frame;
  const base = {
    node: m.node,
    address: m.address,
    state: m.state,
    seenMs: Number.isFinite(m.heardAt) ? Math.round(now.mono - m.heardAt) : -1,
    rank,
    rttMs: m.rttMs === null ? -1 : Math.round(m.rttMs * 10) / 10,
    epoch: f?.lease.epoch ?? 0,
  };
  const here = holderName(s, now) === m.node;
  if (f === null)
    return { ...base, role: 'unknown', assignedRole: here ? 'active' : '', ...shared(unknownView, here), vetoes: ['not heard yet'] };
  const gone = m.state === 'dead' || m.state === 'left';
  return {
    ...base,
    role: gone ? 'gone' : f.role,
    assignedRole: here ? 'active' : f.view.candidate ? 'standby' : 'witness',
    ...shared(f.view, here),
    ...(gone ? { vetoes: [`gone: ${m.state}`], vip: '' } : {}),
  };
}

type Shared = Pick<
  NodeRow,
  | 'ollama'
  | 'ollamaReason'
  | 'ollamaAgeMs'
  | 'vip'
  | 'fence'
  | 'modelsComplete'
  | 'modelsTotal'
  | 'bytesBehind'
  | 'hot'
  | 'hotWanted'
  | 'tags'
  | 'vetoes'
  | 'version'
  | 'ollamaVersion'
  | 'backoffMs'
>;

function shared(v: NodeView, holder: boolean): Shared {
  const tags = [
    ...(v.nofailover ? ['nofailover'] : []),
    ...(v.draining ? ['draining'] : []),
    ...(v.priority === 0 ? [] : [`priority=${v.priority}`]),
  ];
  const young = v.youngMs > 0 && v.candidate && !holder ? [`started too recently: ${v.youngMs} ms more`] : [];
  return {
    ollama: v.candidate ? v.ollama : '',
    ollamaReason: v.candidate ? v.ollamaReason : '',
    ollamaAgeMs: v.ollamaAgeMs,
    vip: v.vip,
    fence: v.fence,
    modelsComplete: v.modelsComplete,
    modelsTotal: v.modelsTotal,
    bytesBehind: v.bytesBehind,
    hot: v.hot,
    hotWanted: v.hotWanted,
    tags,
    vetoes: [...v.vetoes, ...young],
    version: v.version,
    ollamaVersion: v.ollamaVersion,
    backoffMs: v.backoffMs,
  };
}

const unknownView: NodeView = {
  candidate: false,
  nofailover: false,
  draining: false,
  priority: 0,
  ollama: 'unknown',
  ollamaReason: '',
  ollamaVersion: '',
  ollamaAgeMs: 0,
  modelsComplete: 0,
  modelsTotal: 0,
  bytesBehind: 0,
  hot: 0,
  hotWanted: 0,
  load: 0,
  loopLagMs: 0,
  lhm: 0,
  fence: 'none',
  vip: 'unknown',
  mac: '',
  wireMacs: [],
  wireAgeMs: 0,
  youngMs: 0,
  backoffMs: 0,
  vetoes: [],
  version: '',
};

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
  for (const r of f.redis)
    if (!r.up) warnings.push(`Redis ${r.server} does not answer: ${r.lastError === '' ? 'no connection' : r.lastError}`);
  warnings.push(...roomOf(s, f.preset, f.redis, f.loopLateP99Ms));
  if (f.vipProblem !== '') warnings.push(`address: ${f.vipProblem}`);
  if (s.plan !== null && s.plan.blocked !== null) warnings.push(`replication is blocked: ${s.plan.blocked}`);
  if (s.deletions.alert !== null) warnings.push(shrankText(s.deletions.alert));
  for (const c of s.plan?.conflicts ?? []) warnings.push(`${displayOf(c.path)} differs from the active's`);
  for (const r of s.plan?.refused ?? []) warnings.push(`${displayOf(r.path)} is not copied: ${r.reason}`);
  const versions = new Set(rows.flatMap((r) => (r.ollamaVersion === '' ? [] : [r.ollamaVersion])));
  if (versions.size > 1) warnings.push(`Ollama versions differ: ${[...versions].sort().join(', ')}`);
  return warnings;
}

/** `agentctl explain NODE`. Throws a ControlError for a name nobody knows. */
export function explainOf(f: StatusFacts, node: NodeId): ExplainView {
  const row = rowsOf(f.state, f.now).find((r) => r.node === node);
  if (row === undefined) {
    throw new ControlError('not_found', `no node ${node} in cluster ${f.state.config.cluster}`, 'agentctl status lists the nodes');
  }
  const holder = holderName(f.state, f.now) === node;
  const alive = row.state === 'alive' || row.state === 'self';
  const vetoes = [
    ...(alive
      ? []
      : [{ code: 'state', text: `the node is ${row.state}, last heard ${row.seenMs < 0 ? 'never' : `${row.seenMs} ms ago`}` }]),
    ...row.vetoes.map((text) => ({ code: text.split(/[ :]/)[0] ?? 'veto', text })),
    ...(holder ? [{ code: 'holder', text: `it is active already, under epoch ${f.state.holder.epoch}` }] : []),
  ];
  const facts = [
    `role ${row.role}, state ${row.state}`,
    row.rank < 0 ? 'not among the heirs' : `place ${row.rank + 1} among the heirs`,
    `ollama ${row.ollama}: ${row.ollamaReason}`,
    `models ${row.modelsComplete}/${row.modelsTotal}, ${row.bytesBehind} bytes behind`,
    `fence ${row.fence}, address ${row.vip}`,
    `epoch it knows ${row.epoch}`,
    ...settingsFacts(f.state, row, f.now),
    ...(row.state === 'self' ? [`now: ${f.reason}`] : [`last heard ${row.seenMs} ms ago, round trip ${row.rttMs} ms`]),
  ];
  return { node, mayTakeOver: vetoes.length === 0, vetoes, facts };
}

/** What operators set, and what the cluster remembers, of a node. */
function settingsFacts(s: CoreState, row: NodeRow, now: Now): string[] {
  const roster = rosterNow(s.lease, s.config.roster);
  const maintenance = maintenanceOf(s, row.node);
  const { schedule } = s.settings;
  const planned = schedule !== null && (schedule.to === row.node || schedule.to === '') ? schedule : null;
  return [
    `${roster.includes(row.node) ? 'in' : 'not in'} the roster ${s.lease.roster?.version ?? 0} (${roster.join(', ')})`,
    ...(row.backoffMs > 0
      ? [`back-off ${Math.ceil(row.backoffMs / 1000)} s left: it lost the role too often lately and stands behind the others`]
      : []),
    ...(maintenance === undefined ? [] : [maintenanceText(maintenance)]),
    ...(s.settings.paused ? [pausedText(s)] : []),
    ...(planned === null
      ? []
      : [
          `a switchover to ${planned.to === '' ? 'the best heir' : planned.to} is planned in ${Math.round((planned.atMs - now.wall) / 1000)} s`,
        ]),
  ];
}

/** `agentctl models`: every model any node holds, and its state on each. */
export function modelsOf(s: CoreState): ModelsView {
  const stores = new Map<NodeId, Inventory>();
  if (s.own !== null) stores.set(s.config.self.node, s.own);
  for (const [node, store] of s.stores) stores.set(node, store.inventory);
  const nodes = [...new Set([...rosterNow(s.lease, s.config.roster), ...stores.keys()])].sort();
  const paths = new Set([...stores.values()].flatMap((i) => i.models.map((m) => m.path)));
  const leading = stores.get(s.holder.node);
  const models = [...paths].sort().map((path) => {
    const wanted = leading?.models.find((m) => m.path === path);
    const cells = nodes.map((node): ModelCell => {
      const inventory = stores.get(node);
      const has = inventory?.models.find((m) => m.path === path);
      if (inventory === undefined) return { node, state: 'unknown', bytesBehind: 0, hot: false, manifestDigest: '' };
      if (has === undefined) return { node, state: 'missing', bytesBehind: wanted?.sizeBytes ?? 0, hot: false, manifestDigest: '' };
      const differs = wanted !== undefined && wanted.manifestDigest !== has.manifestDigest;
      const state = differs ? 'differs' : has.complete ? 'complete' : 'partial';
      return { node, state, bytesBehind: has.missingBytes, hot: false, manifestDigest: has.manifestDigest };
    });
    const sizeBytes =
      wanted?.sizeBytes ?? Math.max(...[...stores.values()].map((i) => i.models.find((m) => m.path === path)?.sizeBytes ?? 0));
    return { name: displayOf(path), sizeBytes, cells };
  });
  return { models, nodes };
}
