// What operators order besides a plain switchover: pause, maintenance and drain, a planned switchover, a forced failover, leave, forget.
// Orders that last are changes of the settings record; every refusal names its reasons.
import type { Command, PeerMessage } from './io.ts';
import { majorityOf } from './lease/timing.ts';
import type { LeaseInput } from './lease/types.ts';
import { isKnown } from './members.ts';
import { membersOf } from './membership/machine.ts';
import { heirs } from './ranking.ts';
import { MAINTENANCE_MAX } from './settings/record.ts';
import { answer, type Draft, type Wait } from './state.ts';
import { changeSettings, maintenanceOf, maintenanceText, pausedText } from './steer.ts';
import type { NodeId, Now } from './types.ts';
import { hardVetoes, holderLost, selfCandidate, serversReached } from './view.ts';

type Order = Exclude<Command, { k: 'switchover' | 'stop' }>;
type OrderOf<K extends Order['k']> = Extract<Order, { k: K }>;

// Heartbeats confirm within two of them; a node that has not by then is cut off, or dead and not yet known to be.
const CONFIRM_MS_MAX = 10_000;
// A move takes well under a second; beyond its deadline a drain is given this long.
const MOVE_MS_MAX = 10_000;
const WAITS_MAX = 16;
const AHEAD_MS_MAX = 366 * 86_400_000;
const DRAIN_MS_MAX = 86_400_000;

/** Takes an order. Returns what the lease must be told at once, if anything. */
export function takeOrder(d: Draft, id: number, order: Order, now: Now): LeaseInput | null {
  if (d.waits.length + d.pending.length >= WAITS_MAX) {
    answer(d, id, 'refused', 'too many commands are under way', { vetoes: ['wait for the running ones to end'] });
    return null;
  }
  switch (order.k) {
    case 'pause':
      pause(d, id, order, now);
      break;
    case 'maintenance':
      maintain(d, id, order, now);
      break;
    case 'schedule':
      plan(d, id, order, now);
      break;
    case 'unschedule':
      unplan(d, id);
      break;
    case 'failover':
      force(d, id, order, now);
      break;
    case 'leave':
      leave(d, id, order, now);
      break;
    case 'forget':
      forget(d, id, order, now);
      break;
    case 'handOn':
      wait(d, { k: 'handOn', id, since: now.mono, giveUpAt: now.mono + d.config.lease.ttlMs / 2 });
      return { k: 'renew' };
  }
  return null;
}

function wait(d: Draft, entry: Wait): void {
  d.waits = [...d.waits, entry];
}

function settled(d: Draft, id: number, text: string, confirm: boolean, now: Now): void {
  if (confirm) wait(d, { k: 'confirm', id, text, giveUpAt: now.mono + CONFIRM_MS_MAX });
  else answer(d, id, 'done', text, { epoch: d.holder.epoch });
}

function pause(d: Draft, id: number, order: OrderOf<'pause'>, now: Now): void {
  if (order.paused !== d.settings.paused) changeSettings(d, { k: 'pause', paused: order.paused, by: order.by });
  const text = order.paused ? `${pausedText(d)}: nobody takes over until agentctl resume` : 'not paused: failover is automatic';
  settled(d, id, text, order.wait, now);
}

function maintain(d: Draft, id: number, order: OrderOf<'maintenance'>, now: Now): void {
  const node = order.node === '' ? d.config.self.node : order.node;
  if (!isKnown(d, node)) {
    answer(d, id, 'refused', 'no such node', { vetoes: [`${node} is not a member of this cluster`] });
    return;
  }
  const before = maintenanceOf(d, node);
  if (!order.on) {
    if (before !== undefined) changeSettings(d, { k: 'maintenance', node, on: false, by: order.by, drainUntilMs: 0 });
    settled(d, id, `${node} may be active`, order.wait, now);
    return;
  }
  if (before === undefined && d.settings.maintenance.length >= MAINTENANCE_MAX) {
    answer(d, id, 'refused', 'too many nodes are in maintenance', { vetoes: [`at most ${MAINTENANCE_MAX} at once`] });
    return;
  }
  const drainMs = Math.min(order.drainMs ?? 0, DRAIN_MS_MAX);
  const untilMs = drainMs === 0 ? 0 : Math.round(now.wall + drainMs);
  const wasHolder = d.holder.node === node && !holderLost(d, now);
  d.open = null;
  changeSettings(d, { k: 'maintenance', node, on: true, by: order.by, drainUntilMs: untilMs });
  const text = `${node} is in ${maintenanceText({ node, by: order.by, drainUntilMs: untilMs })}`;
  if (order.drainMs !== null && wasHolder) wait(d, { k: 'drain', id, node, untilMs, giveUpAt: now.mono + drainMs + MOVE_MS_MAX });
  else settled(d, id, wasHolder ? `${text}; the role moves to the best other node` : text, order.wait, now);
}

function plan(d: Draft, id: number, order: OrderOf<'schedule'>, now: Now): void {
  const vetoes: string[] = [];
  const aheadMs = order.atMs - now.wall;
  if (!(aheadMs > 0)) vetoes.push('the time has passed, by the clock of the asked node');
  else if (aheadMs > AHEAD_MS_MAX) vetoes.push('the time is more than a year away');
  if (order.to !== '' && !isKnown(d, order.to)) vetoes.push(`${order.to} is not a member of this cluster`);
  if (d.settings.schedule !== null) vetoes.push('one is planned already: agentctl switchover --cancel');
  if (vetoes.length > 0) {
    answer(d, id, 'refused', 'no switchover was planned', { vetoes });
    return;
  }
  changeSettings(d, { k: 'schedule', to: order.to, atMs: Math.round(order.atMs), by: order.by });
  answer(d, id, 'done', `a switchover to ${order.to === '' ? 'the best heir' : order.to} is planned, in ${Math.round(aheadMs / 1000)} s`, {
    epoch: d.holder.epoch,
  });
}

function unplan(d: Draft, id: number): void {
  if (d.settings.schedule === null) {
    answer(d, id, 'nothing', 'no switchover is planned');
    return;
  }
  changeSettings(d, { k: 'unschedule' });
  answer(d, id, 'done', 'the planned switchover is cancelled', { epoch: d.holder.epoch });
}

/** Why an order is not carried out. */
type No = { readonly outcome: 'refused' | 'nothing'; readonly text: string; readonly vetoes: readonly string[] };

const refused = (text: string, ...vetoes: readonly string[]): No => ({ outcome: 'refused', text, vetoes });
const NO_HOLDER: No = { outcome: 'nothing', text: 'there is no holder, and only a holder changes the roster', vetoes: [] };

/** Answers with the reason, if there is one. */
function declined(d: Draft, id: number, no: No | null): boolean {
  if (no !== null) answer(d, id, no.outcome, no.text, { vetoes: no.vetoes, epoch: d.holder.epoch });
  return no !== null;
}

/** How long a forced claim may take to begin. */
const FORCE_MS = 10_000;

function force(d: Draft, id: number, order: OrderOf<'failover'>, now: Now): void {
  if (declined(d, id, whyNoForce(d, now))) return;
  const self = d.config.self.node;
  const target = order.to === '' ? (heirs(selfCandidate(d, now), membersOf(d.membership), '')[0]?.node ?? '') : order.to;
  if (declined(d, id, target === self ? whyNotHere(d, order.by, now) : whyNotThere(d, target))) return;
  if (target !== self) d.effects.push({ k: 'send', to: target, msg: { k: 'forceClaim', id, by: order.by } });
  const times = { startedAt: now.mono, giveUpAt: now.mono + FORCE_MS };
  const asked = target === self ? null : target;
  d.pending = [...d.pending, { id, to: target, by: order.by, fromEpoch: d.holder.epoch, ...times, asked, forced: true }];
}

function whyNoForce(d: Draft, now: Now): No | null {
  if (d.settings.paused) return refused('no failover', pausedText(d));
  if (serversReached(d, now) < majorityOf(d.config.lease.servers))
    return { outcome: 'nothing', text: 'no majority of Redis answers: nobody can claim', vetoes: [] };
  return holderLost(d, now) ? null : refused('no failover', `${heldText(d)}: use agentctl switchover`);
}

function whyNotHere(d: Draft, by: string, now: Now): No | null {
  const vetoes = obey(d, by, now);
  return vetoes.length === 0 ? null : refused('no failover', ...vetoes.map((veto) => `${d.config.self.node}: ${veto}`));
}

function whyNotThere(d: Draft, target: NodeId): No | null {
  const member = membersOf(d.membership).find((m) => m.node === target);
  if (target === '') return refused('no failover', 'no living node may ever be active');
  if (member === undefined) return refused('no failover', `${target} is not a member of this cluster`);
  return member.state === 'alive' && member.frame !== null ? null : refused('no failover', `${target} is ${member.state}`);
}

function heldText(d: Draft): string {
  return `${d.holder.node === '' ? 'somebody' : d.holder.node} holds the lease, or may still`;
}

/** Takes the order to claim; returns the vetoes that stand against it even so. */
function obey(d: Draft, by: string, now: Now): readonly string[] {
  const vetoes = d.stopping ? ['this agent is stopping'] : hardVetoes(d);
  if (vetoes.length === 0) d.forced = { until: now.mono + FORCE_MS, by };
  return vetoes;
}

/** Another node forwards the order to claim. */
export function takeForceClaim(d: Draft, from: NodeId, msg: Extract<PeerMessage, { k: 'forceClaim' }>, now: Now): void {
  const self = d.config.self.node;
  const vetoes = holderLost(d, now) ? obey(d, msg.by, now) : [heldText(d)];
  const reply = {
    k: 'switchoverReply',
    id: msg.id,
    accepted: vetoes.length === 0,
    vetoes: vetoes.map((veto) => `${self}: ${veto}`),
  } as const;
  d.effects.push({ k: 'send', to: from, msg: reply });
}

function removal(d: Draft, id: number, node: NodeId, by: string, leaving: boolean, now: Now): void {
  const giveUpAt = now.mono + CONFIRM_MS_MAX;
  wait(d, { k: 'remove', id, giveUpAt, node, by, leaving, askedAt: Number.NEGATIVE_INFINITY, yielded: false });
}

function leave(d: Draft, id: number, order: OrderOf<'leave'>, now: Now): void {
  const self = d.config.self.node;
  if (declined(d, id, d.left ? refused('it stays out', `${self} has left, or is about to`) : d.holder.node === '' ? NO_HOLDER : null))
    return;
  removal(d, id, self, order.by, true, now);
}

function forget(d: Draft, id: number, order: OrderOf<'forget'>, now: Now): void {
  if (!declined(d, id, whyNotForget(d, order.node, now))) removal(d, id, order.node, order.by, false, now);
}

function whyNotForget(d: Draft, node: NodeId, now: Now): No | null {
  const member = membersOf(d.membership).find((m) => m.node === node);
  const text = `${node} is not forgotten`;
  if (node === d.config.self.node) return refused(text, `${node} is the asked node itself; agentctl leave takes it out`);
  if (!isKnown(d, node)) return refused(text, `${node} is not a member of this cluster`);
  if (member !== undefined && (member.state === 'alive' || member.state === 'suspect'))
    return refused(text, `${node} is ${member.state}, not gone; agentctl leave there takes a living node out`);
  return d.holder.node === '' || holderLost(d, now) ? NO_HOLDER : null;
}
