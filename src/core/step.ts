// The composition: one fact in, through the machines it concerns, and the lasting conditions out.
//
//   fact -> membership | health | lease | stores -> who holds the lease -> must the role move? -> what to copy -> Desired
//
// The machines talk through plain values only: the lease is told a veto, a rank and whether the holder looks suspect; it never sees gossip.
// Gossip and health can ask the holder to give its role up (`yield`), and only while a better node stands ready (H3).
import { settleCommands, takeCommand, takeSwitchoverReply, takeSwitchoverRequest } from './commands.ts';
import type { CoreConfig } from './config.ts';
import { createHealth, stepHealth } from './health/machine.ts';
import type { Evidence } from './health/types.ts';
import type { Command, Desired, Input, PeerMessage, Turn, VipWant } from './io.ts';
import { createLease, desiredOf, stepLease } from './lease/machine.ts';
import type { LeaseEvent, LeaseInput } from './lease/types.ts';
import { createMembership, isLeaving, leaving, type MembershipStep, membersOf, stepMembership, tableOf } from './membership/machine.ts';
import type { MembershipInput } from './membership/types.ts';
import { moveIfBetter } from './moves.ts';
import { type CoreState, type Draft, log } from './state.ts';
import { askStores, replan } from './stores.ts';
import type { NodeId, Now } from './types.ts';
import { frameOf, gossipEpoch, heirOf, ownVetoes, rankOf, roleOf } from './view.ts';
import { noticeHolder } from './watch.ts';

/** The state before the first turn. */
export function createCore(config: CoreConfig, now: Now): CoreState {
  const lease = createLease(config.self, config.lease, now, config.seed, config.epochOnDisk);
  return {
    config,
    lease,
    leaseDesired: desiredOf(lease, now),
    leaseReason: 'starting',
    membership: createMembership(
      {
        node: config.self.node,
        boot: config.self.boot,
        cluster: config.cluster,
        address: config.address,
        peers: config.peers,
        heartbeatMs: config.heartbeatMs,
        stallMs: config.stallMs,
      },
      now,
      config.seed,
    ),
    health: config.health === null ? null : createHealth(config.health, now),
    verdict: { ollama: 'unknown', reason: 'not asked yet', at: Number.NEGATIVE_INFINITY, version: '' },
    wakes: { membership: now.mono, health: now.mono, lease: now.mono },
    stalled: false,
    fence: 'none',
    address: { present: null, since: now.mono },
    granted: 0,
    confirmedOff: false,
    wire: null,
    own: null,
    stores: new Map(),
    asked: new Map(),
    plan: null,
    planKey: '',
    load: { loopLagMs: 0, load: 0 },
    holder: { node: '', epoch: 0, cause: '', from: '' },
    pending: [],
    phasesMs: {},
    recordedEpoch: 0,
    lastYield: null,
    stopping: false,
    stuck: '',
  };
}

/** One turn. Total: it never throws on any input. */
export function step(state: CoreState, input: Input, now: Now): Turn<CoreState> {
  const d: Draft = { ...state, effects: [] };
  take(d, input, now);
  if (now.mono >= d.wakes.membership) gossip(d, { k: 'tick' }, now);
  if (now.mono >= d.wakes.health) judge(d, { k: 'tick' }, now);
  if (now.mono >= d.wakes.lease) lease(d, { k: 'tick' }, now);
  noticeHolder(d, now);
  const moved = moveIfBetter(d, now);
  if (moved !== null) lease(d, moved, now);
  releaseIfOff(d, now);
  leaveIfFree(d, now);
  settleCommands(d, now);
  askStores(d, now);
  replan(d);
  const { effects, ...next } = d;
  const wakeAt = Math.min(d.wakes.membership, d.wakes.health, d.wakes.lease, ...d.pending.map((p) => p.giveUpAt));
  return {
    state: next,
    effects,
    desired: desiredState(next),
    wakeAt,
    reason: d.stuck === '' ? d.leaseReason : `${d.leaseReason}; ${d.stuck}`,
  };
}

/** A role given up while the address was confirmed off already (a lapsed holder) waits for nothing. */
function releaseIfOff(d: Draft, now: Now): void {
  if (d.leaseDesired.acting) d.confirmedOff = false;
  const phase = d.lease.phase;
  if (phase.tag === 'yielding' && phase.release === null && d.confirmedOff) lease(d, { k: 'ended', epoch: phase.epoch }, now);
}

/** A stopping node leaves the membership once it holds nothing any more. */
function leaveIfFree(d: Draft, now: Now): void {
  if (d.stopping && d.lease.phase.tag === 'follower' && !isLeaving(d.membership)) absorbGossip(d, leaving(d.membership, now), now);
}

function desiredState(s: CoreState): Desired {
  const { acting, epoch, enforceAt } = s.leaseDesired;
  const vip: VipWant = acting ? { on: true, epoch, enforceAt } : { on: false, epoch };
  return { role: roleOf(s), lease: s.leaseDesired, vip, replicate: acting ? null : s.plan };
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
    case 'table':
    case 'probed':
    case 'dialled':
      gossip(d, input, now);
      break;
    case 'stalling':
      d.stalled = true;
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
      d.address = { present: true, since: now.mono };
      log(d, 'info', 'vip_on', `the address is up under epoch ${input.epoch}`, { epoch: input.epoch, ...input.phasesMs });
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
    case 'command':
      takeOperator(d, input.id, input.command, now);
      break;
  }
}

function takeOperator(d: Draft, id: number, command: Command, now: Now): void {
  const order = takeCommand(d, id, command, now);
  if (order !== null) lease(d, order, now);
}

function takePeer(d: Draft, from: NodeId, msg: PeerMessage, now: Now): void {
  switch (msg.k) {
    case 'frame':
      gossip(d, { k: 'frame', from, frame: msg.frame }, now);
      break;
    case 'stepDown':
    case 'handover':
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
      takeSwitchoverReply(d, from, msg);
      break;
  }
}

function takeFence(d: Draft, kind: CoreState['fence'], now: Now): void {
  const before = d.fence;
  d.fence = kind;
  if (before === kind) return;
  if (kind !== 'none') {
    log(d, 'info', 'fence_proven', `the address is guarded by ${kind}`);
    if (before === 'nft') lease(d, { k: 'fenceLost' }, now);
    return;
  }
  log(d, 'error', 'fence_lost', `what guarded the address is gone: ${before}`, { before });
  // The epoch relied on the kernel, or on the script: without either nothing may act under it.
  if (before === 'nft') lease(d, { k: 'fenceLost' }, now);
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
  absorbGossip(d, stepMembership(d.membership, input, now), now);
}

function absorbGossip(d: Draft, turn: MembershipStep, now: Now): void {
  d.membership = turn.state;
  d.wakes = { ...d.wakes, membership: turn.wakeAt };
  for (const effect of turn.effects) {
    switch (effect.k) {
      case 'heartbeat':
        d.effects.push({ k: 'send', to: effect.to, msg: { k: 'frame', frame: frameOf(d, effect, now) } });
        break;
      case 'pushPull':
        d.effects.push({ k: 'pushPull', to: effect.to, members: tableOf(d.membership, now) });
        break;
      case 'memberEvent':
        log(d, effect.to === 'alive' ? 'info' : 'warn', `member_${effect.to}`, `${effect.node} is ${effect.to}: ${effect.why}`, {
          node: effect.node,
        });
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
  const text = `node id ${node} is in use by two agents; the other one is at ${address}`;
  if (node === d.config.self.node && boot < d.config.self.boot) {
    d.effects.push({ k: 'end', text, hint: 'give this node its own node.id, or stop the other agent' });
  } else {
    log(d, 'error', 'duplicate_node', text, { node, address });
  }
}

function judge(d: Draft, input: { k: 'tick' } | Evidence, now: Now): void {
  if (d.health === null) {
    d.wakes = { ...d.wakes, health: Number.POSITIVE_INFINITY };
    return;
  }
  const turn = stepHealth(d.health, input, now);
  d.health = turn.state;
  d.wakes = { ...d.wakes, health: turn.wakeAt };
  if (turn.verdict.ollama !== d.verdict.ollama) {
    const level = turn.verdict.ollama === 'up' ? 'info' : 'warn';
    log(d, level, `ollama_${turn.verdict.ollama}`, `ollama is ${turn.verdict.ollama}: ${turn.verdict.reason}`);
  }
  d.verdict = turn.verdict;
}

function lease(d: Draft, input: LeaseInput, now: Now): void {
  const members = membersOf(d.membership);
  const vetoes = ownVetoes(d);
  const holder = members.find((m) => m.node === d.holder.node);
  const turn = stepLease(
    d.lease,
    input,
    {
      veto: d.stopping ? 'this agent is stopping' : (vetoes[0] ?? null),
      rank: rankOf(d, now),
      suspicious: holder !== undefined && holder.state !== 'alive',
      fence: d.fence === 'nft' || d.config.vip === 'none',
      roster: d.config.roster,
      rosterVersion: 1,
      address: d.config.address,
      gossipEpoch: gossipEpoch(members),
      stalled: d.stalled,
    },
    now,
  );
  d.lease = turn.state;
  d.leaseDesired = turn.desired;
  d.leaseReason = turn.reason;
  d.wakes = { ...d.wakes, lease: turn.wakeAt };
  for (const effect of turn.effects) {
    switch (effect.k) {
      case 'redis':
      case 'persistEpoch':
        d.effects.push(effect);
        break;
      case 'failsafe': {
        const { to, epoch, ttlMs, lockDelayMs, round } = effect;
        d.effects.push({ k: 'send', to, msg: { k: 'failsafeRequest', boot: d.config.self.boot, epoch, ttlMs, lockDelayMs, round } });
        break;
      }
      case 'failsafeReply': {
        const { to, epoch, round, verdict, nackEpoch } = effect;
        d.effects.push({ k: 'send', to, msg: { k: 'failsafeReply', epoch, round, verdict, nackEpoch } });
        break;
      }
      case 'handover':
        d.effects.push({ k: 'send', to: effect.to, msg: { k: 'handover', boot: d.config.self.boot, epoch: effect.epoch } });
        break;
      case 'stepDown':
        for (const m of members)
          d.effects.push({ k: 'send', to: m.node, msg: { k: 'stepDown', boot: d.config.self.boot, epoch: effect.epoch } });
        break;
      case 'event':
        takeLeaseEvent(d, effect.event);
        break;
    }
  }
}

function takeLeaseEvent(d: Draft, event: LeaseEvent): void {
  switch (event.k) {
    case 'claimed':
      d.holder = { node: d.config.self.node, epoch: event.epoch, cause: event.cause, from: event.from };
      d.phasesMs = { waitMs: event.waitedMs, claimMs: event.claimMs };
      log(d, 'info', 'claimed', `active under epoch ${event.epoch}`, { epoch: event.epoch, from: event.from, cause: event.cause });
      break;
    case 'claimFailed':
      log(d, 'warn', 'claim_failed', `claim of epoch ${event.epoch} got ${event.acks} acknowledgements`, { epoch: event.epoch });
      break;
    case 'lapsed':
      log(d, 'error', 'lapsed', `the lease of epoch ${event.epoch} was not renewed in time`, { epoch: event.epoch });
      break;
    case 'restored':
      log(d, 'info', 'restored', `the lease of epoch ${event.epoch} is valid again`, { epoch: event.epoch });
      break;
    case 'yielding':
      log(d, 'info', 'yielding', `giving up epoch ${event.epoch} (${event.cause})`, { epoch: event.epoch, heir: event.heir });
      break;
    case 'released':
      d.phasesMs = { ...d.phasesMs, revokeMs: event.revokeMs };
      log(d, 'info', 'released', `released epoch ${event.epoch}`, { epoch: event.epoch, heir: event.heir, revokeMs: event.revokeMs });
      break;
    case 'deposed':
      log(d, 'warn', 'deposed', `lost epoch ${event.epoch}`, { epoch: event.epoch });
      break;
    case 'failsafe':
      log(
        d,
        'warn',
        event.on ? 'failsafe_on' : 'failsafe_off',
        event.on ? 'Redis has no majority; held by the members' : 'Redis has a majority again',
        { epoch: event.epoch },
      );
      break;
  }
}
