// Who may ever claim, as the holder keeps it: it takes in a candidate that gossip admitted, and takes out one that leaves or is forgotten.
// Nobody else changes the roster; every other node asks the holder.
import type { PeerMessage } from './io.ts';
import type { LeaseInput } from './lease/types.ts';
import { rosterNow } from './lease/view.ts';
import { membersOf } from './membership/machine.ts';
import { type Draft, log } from './state.ts';
import { changeSettings } from './steer.ts';
import type { NodeId } from './types.ts';

type RosterOrder = Extract<LeaseInput, { k: 'roster' }>;

// The record's meta is bounded: this many names of the greatest length fit.
const ROSTER_MAX = 128;

/** The order to say the roster anew, if this node holds the lease: a candidate is waiting, or another roster is about. */
export function admitCandidate(d: Draft): RosterOrder | null {
  const phase = d.lease.phase;
  if (phase.tag !== 'active' || phase.lapsed || phase.failsafeOn || phase.changing !== null || phase.roster.length >= ROSTER_MAX)
    return null;
  // A claim that failed has left another roster on some server, and whoever read it goes by it: what holds is said again, under a higher version.
  if (d.lease.roster !== null && d.lease.roster.epoch !== phase.epoch) return { k: 'roster', nodes: phase.roster };
  const wanting = membersOf(d.membership).find((m) => {
    if (m.state !== 'alive' || m.frame === null || m.frame.leaving || !m.frame.view.candidate) return false;
    return !phase.roster.includes(m.node) && d.removed.get(m.node) !== m.boot;
  });
  if (wanting === undefined) return null;
  log(d, 'info', 'roster_admits', `${wanting.node} is taken into the roster`, { node: wanting.node });
  return { k: 'roster', nodes: [...phase.roster, wanting.node].sort() };
}

/** How the wish to take a node out stands: done, refused for these reasons, or under way (perhaps by this order). */
export type Removal =
  | { readonly k: 'done' }
  | { readonly k: 'refused'; readonly vetoes: readonly string[] }
  | { readonly k: 'open'; readonly order: RosterOrder | null };

/** The holder takes a node out of the roster. Asked again and again until it is done. */
export function removeNode(d: Draft, node: NodeId, leaving: boolean): Removal {
  const phase = d.lease.phase;
  const self = d.config.self.node;
  if (phase.tag !== 'active' || phase.lapsed) return { k: 'refused', vetoes: [`${self} is not the holder`] };
  if (node === self) return { k: 'refused', vetoes: [`${self} holds the lease`] };
  const member = membersOf(d.membership).find((m) => m.node === node);
  if (!leaving && member !== undefined && (member.state === 'alive' || member.state === 'suspect'))
    return { k: 'refused', vetoes: [`${node} is ${member.state}, not gone; agentctl leave there takes a living node out`] };
  if (member !== undefined) d.removed = new Map(d.removed).set(node, member.boot);
  if (phase.changing !== null && !phase.changing.carried) return { k: 'open', order: null };
  if (!phase.roster.includes(node)) {
    finishRemoval(d, node, leaving);
    return { k: 'done' };
  }
  // One change at a time; the tail of an earlier one ends within T.
  if (phase.changing !== null) return { k: 'open', order: null };
  return { k: 'open', order: { k: 'roster', nodes: phase.roster.filter((other) => other !== node) } };
}

function finishRemoval(d: Draft, node: NodeId, leaving: boolean): void {
  const { maintenance, schedule } = d.settings;
  if (maintenance.some((m) => m.node === node) || schedule?.to === node) changeSettings(d, { k: 'drop', node });
  if (leaving) return;
  for (const m of membersOf(d.membership)) if (m.node !== node) d.effects.push({ k: 'send', to: m.node, msg: { k: 'forgotten', node } });
}

/** Another node asks the holder. Returns the order it leads to here. */
export function takeRosterRequest(
  d: Draft,
  from: NodeId,
  msg: Extract<PeerMessage, { k: 'rosterRequest' }>,
): { readonly order: RosterOrder | null; readonly forgotten: NodeId | null } {
  const reply = (accepted: boolean, vetoes: readonly string[]) => {
    d.effects.push({ k: 'send', to: from, msg: { k: 'switchoverReply', id: msg.id, accepted, vetoes } });
  };
  const removal = whyNotLeave(d, from, msg) ?? removeNode(d, msg.node, msg.leaving);
  if (removal.k === 'refused') reply(false, removal.vetoes);
  if (removal.k === 'done') reply(true, []);
  return { order: removal.k === 'open' ? removal.order : null, forgotten: removal.k === 'done' && !msg.leaving ? msg.node : null };
}

/** Only the node itself may say that it leaves, and a wish that arrives late must not meet its next process, which has joined again. */
function whyNotLeave(d: Draft, from: NodeId, msg: Extract<PeerMessage, { k: 'rosterRequest' }>): Removal | null {
  if (!msg.leaving) return null;
  if (msg.node !== from) return { k: 'refused', vetoes: [`${from} cannot leave for ${msg.node}`] };
  const member = membersOf(d.membership).find((m) => m.node === from);
  return msg.boot > 0 && member !== undefined && member.boot > msg.boot
    ? { k: 'refused', vetoes: [`${from} has been started again since`] }
    : null;
}

/** Whether any part of this node's knowledge names the node. */
export function isKnown(d: Draft, node: NodeId): boolean {
  return (
    node === d.config.self.node ||
    rosterNow(d.lease, d.config.roster).includes(node) ||
    membersOf(d.membership).some((m) => m.node === node)
  );
}
