// The candidates as a balancer needs them, from the core's newest state.
import { membersOf } from '../membership/machine.ts';
import type { NodeView } from '../membership/types.ts';
import { heirs } from '../ranking.ts';
import type { CoreState } from '../state.ts';
import type { NodeId, Now } from '../types.ts';
import { holderLost, ownView, selfCandidate } from '../view.ts';
import type { BalanceNode } from './upstream.ts';

// What a peer says of its address ends in a configuration file: nothing but an address or a name gets there.
const plainHost = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:]{2,39})$/;

/** Every known candidate, in the order of heirs. `places`: the configured addresses, which go before what a node says of itself. */
export function balanceNodes(s: CoreState, now: Now, places: ReadonlyMap<NodeId, string>): BalanceNode[] {
  const holder = holderLost(s, now) ? '' : s.holder.node;
  const self = selfCandidate(s, now);
  const members = membersOf(s.membership);
  const order = heirs(self, members, '').map((c) => c.node);
  const of = (node: NodeId, address: string, view: NodeView, alive: boolean): BalanceNode => ({
    node,
    host: places.get(node) ?? address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, ''),
    active: node === holder,
    fit: alive && (view.ollama === 'up' || view.ollama === 'degraded'),
    draining: view.draining || s.settings.maintenance.some((m) => m.node === node),
    complete: view.modelsComplete >= view.modelsTotal,
  });
  const others = members.flatMap((m) =>
    m.frame === null || !m.frame.view.candidate ? [] : [of(m.node, m.address, m.frame.view, m.state === 'alive' && !m.frame.leaving)],
  );
  const own = s.config.candidate ? [of(self.node, s.config.address, ownView(s, now), !s.left)] : [];
  const place = (n: BalanceNode): number => (order.includes(n.node) ? order.indexOf(n.node) : order.length);
  return [...own, ...others].filter((n) => plainHost.test(n.host)).sort((a, b) => place(a) - place(b));
}
