// The composition: one fact in, through the machines it concerns, and the lasting conditions out.
//
//   fact -> membership | health | lease | stores -> who holds the lease -> must the role move? -> what to copy -> Desired
//
// The machines talk through plain values only: the lease is told a veto, a rank and whether the holder looks suspect; it never sees gossip.
// Gossip and health can ask the holder to give its role up (`yield`), and only while a better node stands ready (H3).
import { careWant, judge } from './care.ts';
import { settleCommands, takeCommand, takeSwitchoverReply, takeSwitchoverRequest } from './commands.ts';
import { lease } from './elect.ts';
import type { Command, Desired, Input, PeerMessage, Turn, VipWant } from './io.ts';
import { desiredOf } from './lease/machine.ts';
import { admitCandidate, takeRosterRequest } from './members.ts';
import { isLarge, isLeaving, leaving, type MembershipStep, stepMembership, tableOf, withHubs } from './membership/machine.ts';
import { protocolText } from './membership/protocol.ts';
import { takeQuietly } from './membership/quiet.ts';
import type { Frame, MembershipInput } from './membership/types.ts';
import { moveIfBetter } from './moves.ts';
import { takeForceClaim, takeOrder } from './orders.ts';
import { acceptLoss, followDeletions, takeLoss } from './removals.ts';
import { runSchedule } from './schedule.ts';
import { type CoreState, type Draft, log } from './state.ts';
import { takeSettings, tellSettings } from './steer.ts';
import { askStores, replan } from './stores.ts';
import type { NodeId, Now } from './types.ts';
import { frameOf, heirOf, hubsOf, roleOf, withBeat } from './view.ts';
import { settleWaits } from './waits.ts';
import { noticeHolder } from './watch.ts';
import { watchStranger } from './wire.ts';

export { createCore } from './create.ts';

/** One turn. Total: it never throws on any input. */
export function step(state: CoreState, input: Input, now: Now): Turn<CoreState> {
  if (input.k === 'peer' && input.msg.k === 'frame') {
    const quiet = quietTurn(state, input.from, input.msg.frame, now);
    if (quiet !== null) return quiet;
  }
  const d: Draft = { ...state, effects: [] };
  take(d, input, now);
  if (now.mono >= d.wakes.membership) gossip(d, { k: 'tick' }, now);
  if (now.mono >= d.wakes.health) judge(d, { k: 'tick' }, now);
  if (now.mono >= d.wakes.lease) lease(d, { k: 'tick' }, now);
  noticeHolder(d, now);
  watchStranger(d, now);
  for (const order of [moveIfBetter(d, now), runSchedule(d, now), settleWaits(d, now), admitCandidate(d)])
    if (order !== null) lease(d, order, now);
  // Asked anew at the end of every turn: a machine that stood still must not act on what the last lease step allowed.
  d.leaseDesired = desiredOf(d.lease, now);
  releaseIfOff(d, now);
  leaveIfFree(d, now);
  settleCommands(d, now);
  askStores(d, now);
  replan(d);
  followDeletions(d, now);
  // The working copy becomes the state, less its orders: a second copy of so many fields would be the dearest part of a turn.
  const { effects } = d;
  d.effects = [];
  return turnOf(d, effects);
}

function turnOf(s: CoreState, effects: Draft['effects']): Turn<CoreState> {
  const quiet = s.stuck === '' && s.draining === '';
  const reason = quiet ? s.leaseReason : [s.leaseReason, s.stuck, s.draining].filter((part) => part !== '').join('; ');
  return { state: s, effects, desired: desiredState(s), wakeAt: wakeOf(s), reason };
}

/** Longest time without a turn, ms. An actor looks at its deadline more often; anybody else only at the time of day and at stalls of the process. */
export function guardTickMs(desired: Desired | null): number {
  return desired?.vip.on === true || desired?.lease.acting === true ? 50 : 100;
}

function wakeOf(s: CoreState): number {
  let wakeAt = Math.min(s.wakes.membership, s.wakes.health, s.wakes.lease);
  for (const p of s.pending) wakeAt = Math.min(wakeAt, p.giveUpAt);
  for (const w of s.waits) wakeAt = Math.min(wakeAt, w.giveUpAt);
  return wakeAt;
}

/** A turn for a heartbeat that says nothing new while nothing is due; null = it wants a whole turn. */
function quietTurn(state: CoreState, from: NodeId, frame: Frame, now: Now): Turn<CoreState> | null {
  if (now.mono >= wakeOf(state) || frame.settingsVersion !== state.settings.version) return null;
  const membership = takeQuietly(state.membership, from, frame, now);
  return membership === null ? null : turnOf({ ...state, membership, leaseDesired: desiredOf(state.lease, now) }, []);
}

/** A role given up while the address was confirmed off already (a lapsed holder) waits for nothing. */
function releaseIfOff(d: Draft, now: Now): void {
  if (d.leaseDesired.acting) d.confirmedOff = false;
  const phase = d.lease.phase;
  if (phase.tag === 'yielding' && phase.release === null && d.confirmedOff) lease(d, { k: 'ended', epoch: phase.epoch }, now);
}

/** A stopping node leaves the membership once it holds nothing any more. */
function leaveIfFree(d: Draft, now: Now): void {
  if ((d.stopping || d.free) && d.lease.phase.tag === 'follower' && !isLeaving(d.membership))
    absorbGossip(d, leaving(d.membership, now), now);
}

function desiredState(s: CoreState): Desired {
  const { acting, epoch, enforceAt } = s.leaseDesired;
  const vip: VipWant = acting ? { on: true, epoch, enforceAt } : { on: false, epoch };
  const replicate = acting ? s.repair : s.plan;
  return { role: roleOf(s), lease: s.leaseDesired, vip, replicate, remove: acting ? [] : s.deletions.orders, care: careWant(s) };
}

function take(d: Draft, input: Input, now: Now): void {
  switch (input.k) {
    case 'tick':
      break;
    case 'reply':
    case 'fail':
      lease(d, input, now);
      break;
    case 'peer':
      takePeer(d, input.from, input.msg, now);
      break;
    case 'link':
    case 'foreign':
    case 'table':
    case 'probed':
    case 'dialled':
      gossip(d, input, now);
      break;
    case 'stalling':
      d.stalled = true;
      gossip(d, input, now);
      break;
    case 'stall':
      d.stalled = false;
      gossip(d, input, now);
      lease(d, { k: 'tick' }, now);
      break;
    case 'evidence':
      judge(d, input.evidence, now);
      break;
    case 'fence':
      takeFence(d, input.kind, now);
      break;
    case 'ended':
      // Word of an earlier "off" while the address is wanted again says nothing.
      if (d.leaseDesired.acting) break;
      d.confirmedOff = true;
      d.phasesMs = { ...d.phasesMs, ...input.phasesMs };
      lease(d, { k: 'ended', epoch: input.epoch }, now);
      break;
    case 'granted':
      d.granted = Math.max(d.granted, input.epoch);
      if (d.claimed?.epoch === input.epoch && d.config.vip !== 'none') d.phasesMs = { ...d.phasesMs, vipMs: now.mono - d.claimed.at };
      d.address = { present: true, since: now.mono };
      log(d, 'info', 'vip_on', `the address is up under epoch ${input.epoch}`, { ...input.phasesMs, epoch: input.epoch });
      break;
    case 'address':
      if (d.address.present !== input.present) d.address = { present: input.present, since: now.mono };
      break;
    case 'wire':
      takeWire(d, input.macs, input.own, now);
      break;
    case 'inventory':
      d.own = input.inventory;
      break;
    case 'peerInventory':
      d.stores = new Map(d.stores).set(input.from, { inventory: input.inventory, epoch: input.epoch, boot: input.boot });
      break;
    case 'load':
      d.load = { loopLagMs: input.loopLagMs, load: input.load };
      break;
    case 'settings':
      takeSettings(d, input.settings);
      break;
    case 'open':
      d.open = input.count;
      break;
    case 'acceptDeletes':
      acceptLoss(d, input.by);
      break;
    case 'command':
      takeOperator(d, input.id, input.command, now);
      break;
  }
}

function takeOperator(d: Draft, id: number, command: Command, now: Now): void {
  const order = command.k === 'switchover' || command.k === 'stop' ? takeCommand(d, id, command, now) : takeOrder(d, id, command, now);
  if (order !== null) lease(d, order, now);
}

function takePeer(d: Draft, from: NodeId, msg: PeerMessage, now: Now): void {
  switch (msg.k) {
    case 'frame':
      gossip(d, { k: 'frame', from, frame: msg.frame }, now);
      tellSettings(d, from, msg.frame);
      break;
    case 'stepDown':
    case 'handover':
      if (msg.k === 'handover' && msg.why !== undefined) d.handover = { from, epoch: msg.epoch, at: now.mono, why: msg.why };
      lease(d, { k: msg.k, from, boot: msg.boot, epoch: msg.epoch }, now);
      break;
    case 'failsafeRequest': {
      const { boot, epoch, ttlMs, lockDelayMs, round } = msg;
      lease(d, { k: 'failsafeRequest', from, boot, epoch, ttlMs, lockDelayMs, round }, now);
      break;
    }
    case 'failsafeReply':
      lease(d, { k: 'failsafeReply', from, epoch: msg.epoch, round: msg.round, verdict: msg.verdict }, now);
      break;
    case 'switchoverRequest': {
      const order = takeSwitchoverRequest(d, from, msg, now);
      if (order !== null) lease(d, order, now);
      break;
    }
    case 'switchoverReply':
      takeSwitchoverReply(d, from, msg, now);
      break;
    case 'settings':
      takeSettings(d, msg.settings);
      break;
    case 'forceClaim':
      takeForceClaim(d, from, msg, now);
      break;
    case 'rosterRequest': {
      const { order, forgotten } = takeRosterRequest(d, from, msg);
      if (order !== null) lease(d, order, now);
      if (forgotten !== null) gossip(d, { k: 'forget', node: forgotten }, now);
      break;
    }
    case 'forgotten':
      gossip(d, { k: 'forget', node: msg.node }, now);
      break;
    case 'acceptDeletes':
      takeLoss(d, msg.epoch, msg.by);
      break;
  }
}

function takeFence(d: Draft, kind: CoreState['fence'], now: Now): void {
  const before = d.fence;
  d.fence = kind;
  // An epoch that relies on the kernel cannot go on without; of a lease that was handed on, this is the first word of this process.
  if (kind !== 'nft') lease(d, { k: 'fenceLost' }, now);
  if (before === kind) return;
  if (kind !== 'none') {
    log(d, 'info', 'fence_proven', `the address is guarded by ${kind}`);
    return;
  }
  log(d, 'error', 'fence_lost', `what guarded the address is gone: ${before}`, { before });
  // The epoch relied on the lifetime of the address, or on the script: without either nothing may act under it.
  if (d.lease.phase.tag === 'active') lease(d, { k: 'yield', heir: heirOf(d, now) ?? '', cause: 'fence' }, now);
}

function takeWire(d: Draft, macs: readonly string[], own: string, now: Now): void {
  const before = new Set(d.wire?.macs ?? []).size;
  // A watch that saw nobody says nothing new about who owned the address before.
  if (macs.length > 0 || d.wire === null || own !== d.wire.own) d.wire = { macs, own, at: now.mono };
  if (macs.length > 1 && before <= 1)
    log(d, 'error', 'split_brain_suspected', `${macs.length} MACs answer for the address: ${macs.join(', ')}`);
}

function gossip(d: Draft, input: MembershipInput, now: Now): void {
  // Rounds are sent by ticks; a small cluster has no need of hubs.
  if (input.k === 'tick' && isLarge(d.membership)) d.membership = withHubs(d.membership, hubsOf(d, now));
  absorbGossip(d, stepMembership(d.membership, input, now), now);
}

function absorbGossip(d: Draft, turn: MembershipStep, now: Now): void {
  d.membership = turn.state;
  d.wakes = { ...d.wakes, membership: turn.wakeAt };
  let frame: Frame | null = null;
  for (const effect of turn.effects) {
    switch (effect.k) {
      case 'heartbeat':
        // One round says the same of this node to everybody.
        frame = frame === null ? frameOf(d, effect, now) : withBeat(frame, effect);
        d.effects.push({ k: 'send', to: effect.to, msg: { k: 'frame', frame } });
        break;
      case 'pushPull':
        d.effects.push({ k: 'pushPull', to: effect.to, members: tableOf(d.membership, now) });
        break;
      case 'memberEvent':
        log(d, effect.to === 'alive' ? 'info' : 'warn', `member_${effect.to}`, `${effect.node} is ${effect.to}: ${effect.why}`, {
          node: effect.node,
        });
        break;
      case 'foreign':
        log(d, 'error', 'protocol_differs', protocolText(effect.node, effect.protocol), { node: effect.node });
        break;
      case 'duplicateNode':
        takeDuplicate(d, effect.node, effect.boot, effect.address);
        break;
      default:
        d.effects.push(effect);
    }
  }
}

/** Two processes under one node id would be two holders with one name: the newcomer leaves. */
function takeDuplicate(d: Draft, node: NodeId, boot: number, address: string): void {
  const text = `node id ${node} is in use by two agents; the other one is at ${address === '' ? 'an address not known here' : address}`;
  if (node === d.config.self.node && boot < d.config.self.boot) {
    d.effects.push({ k: 'end', text, hint: 'give this node its own node.id, or stop the other agent' });
  } else {
    log(d, 'error', 'duplicate_node', text, { node, address });
  }
}
