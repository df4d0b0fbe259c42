// `agentctl explain`: every veto of a node, and the facts behind them.
import { rosterNow } from '../core/lease/view.ts';
import type { CoreState } from '../core/state.ts';
import { maintenanceOf, maintenanceText, pausedText } from '../core/steer.ts';
import type { NodeId, Now } from '../core/types.ts';
import type { ExplainView, NodeRow } from './control.ts';
import { ControlError } from './control.ts';
import type { StatusFacts } from './status.ts';
import { healthFacts } from './status-health.ts';
import { holderName, rowsOf } from './status-members.ts';

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
    `ollama ${row.ollama} (${row.ollamaKind}): ${row.ollamaReason}`,
    ...(row.state === 'self' ? healthFacts(f.state, f.now) : []),
    `warm ${row.hot}/${row.hotWanted}${row.loaded.length === 0 ? '' : `: ${row.loaded.join(', ')}`}`,
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
