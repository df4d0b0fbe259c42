// The nodes as rows: this one from the core's state, the others from what they last told.
import { membersOf } from '../core/membership/machine.ts';
import type { Member, NodeView } from '../core/membership/types.ts';
import { heirs } from '../core/ranking.ts';
import type { CoreState } from '../core/state.ts';
import type { NodeId, Now } from '../core/types.ts';
import { holderLost, ownView, roleOf, selfCandidate } from '../core/view.ts';
import type { NodeRow } from './control.ts';

/** The holder; '' when nobody can be active any more, whatever the record says. */
export function holderName(s: CoreState, now: Now): NodeId | '' {
  return holderLost(s, now) ? '' : s.holder.node;
}

/** One row for each node, by name. */
export function rowsOf(s: CoreState, now: Now): NodeRow[] {
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
    return {
      ...base,
      role: 'unknown',
      assignedRole: here ? 'active' : '',
      ...shared(unknownView, here),
      vetoes: [m.foreign == null ? 'not heard yet' : 'speaks another peer protocol'],
    };
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
  | 'ollamaKind'
  | 'loaded'
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
    ollamaKind: v.candidate ? v.ollamaKind : '',
    loaded: v.loaded.map((m) => (m.contextLength === null ? m.name : `${m.name} (context ${m.contextLength})`)),
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
  loaded: [],
  ollamaKind: 'unknown',
  unfit: false,
  load: 0,
  loopLagMs: 0,
  lhm: 0,
  fence: 'none',
  vip: 'unknown',
  mac: '',
  wireMacs: [],
  wireAgeMs: 0,
  deletionAlert: false,
  youngMs: 0,
  backoffMs: 0,
  vetoes: [],
  version: '',
};
