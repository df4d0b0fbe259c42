// The lease inside the composed core: what it is told of the rest, and what follows from its orders and events.
import type { PeerMessage } from './io.ts';
import { stepLease } from './lease/machine.ts';
import type { LeaseEvent, LeaseInput } from './lease/types.ts';
import { membersOf } from './membership/machine.ts';
import { type Draft, log } from './state.ts';
import type { Now } from './types.ts';
import { gossipEpoch, hardVetoes, heirOf, ownVetoes, rankOf } from './view.ts';

/** One step of the lease, told what the rest of the core knows, and its orders carried over. */
export function lease(d: Draft, input: LeaseInput, now: Now): void {
  const members = membersOf(d.membership);
  const holder = members.find((m) => m.node === d.holder.node);
  const turn = stepLease(
    d.lease,
    input,
    {
      veto: claimVeto(d, now),
      rank: isForced(d, now) ? 0 : rankOf(d, now),
      suspicious: isForced(d, now) || (holder !== undefined && holder.state !== 'alive'),
      fence: d.fence === 'nft' || d.config.vip === 'none',
      roster: d.config.roster,
      rosterVersion: 1,
      address: d.config.address,
      gossipEpoch: gossipEpoch(members),
      stalled: d.stalled,
      // Who can never claim only wants to know.
      crowd: d.config.candidate ? members.reduce((n, m) => n + Number(m.state === 'alive'), 1) : Number.POSITIVE_INFINITY,
      heir: d.lease.phase.tag === 'active' ? heirOf(d, now) : null,
    },
    now,
  );
  if (turn.state.roster !== null && turn.state.roster !== d.lease.roster) d.effects.push({ k: 'persistRoster', roster: turn.state.roster });
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
        d.effects.push({ k: 'send', to, msg: { k: 'failsafeRequest', boot: d.lease.self.boot, epoch, ttlMs, lockDelayMs, round } });
        break;
      }
      case 'failsafeReply': {
        const { to, epoch, round, verdict, nackEpoch } = effect;
        d.effects.push({ k: 'send', to, msg: { k: 'failsafeReply', epoch, round, verdict, nackEpoch } });
        break;
      }
      case 'handover':
        d.effects.push({ k: 'send', to: effect.to, msg: handoverOf(d, effect.epoch) });
        break;
      case 'stepDown':
        for (const m of members)
          d.effects.push({ k: 'send', to: m.node, msg: { k: 'stepDown', boot: d.lease.self.boot, epoch: effect.epoch } });
        break;
      case 'event':
        takeLeaseEvent(d, effect.event, now);
        break;
    }
  }
}

// A claim by an order must come at once: the record has been free for long.
function isForced(d: Draft, now: Now): boolean {
  return d.forced !== null && now.mono < d.forced.until;
}

/** The gravest reason against a claim now; null = none. An operator's order lifts what is only this node's own judgement. */
function claimVeto(d: Draft, now: Now): string | null {
  if (d.stopping) return 'this agent is stopping';
  return (isForced(d, now) ? hardVetoes(d) : ownVetoes(d))[0] ?? null;
}

/** The word to the heir, with the why and the times, so that its history can name them. */
function handoverOf(d: Draft, epoch: number): Extract<PeerMessage, { k: 'handover' }> {
  const { boot } = d.lease.self;
  const { revokeMs = 0, releaseMs = 0 } = d.phasesMs;
  if (d.lastYield === null) return { k: 'handover', boot, epoch };
  return { k: 'handover', boot, epoch, why: { cause: d.lastYield.cause, by: d.lastYield.by, revokeMs, releaseMs } };
}

// A heir claims within milliseconds of the word; an older one belongs to another move.
const HANDOVER_MS_MAX = 5000;

function takeClaimed(d: Draft, event: Extract<LeaseEvent, { k: 'claimed' }>, now: Now): void {
  const word = d.handover;
  const told =
    word !== null && word.from === event.from && event.epoch > word.epoch && now.mono - word.at < HANDOVER_MS_MAX ? word.why : null;
  const cause = told?.cause ?? (isForced(d, now) ? 'forced' : event.cause);
  const by = told?.by ?? d.forced?.by ?? '';
  d.holder = { node: d.config.self.node, epoch: event.epoch, cause, from: event.from, by, phasesMs: {}, since: now.mono };
  d.claimed = { epoch: event.epoch, at: now.mono, wall: now.wall };
  d.forced = null;
  const before = told === null ? {} : { revokeMs: told.revokeMs, releaseMs: told.releaseMs };
  d.phasesMs = { ...before, waitMs: event.waitedMs, claimMs: event.claimMs };
  log(d, 'info', 'claimed', `active under epoch ${event.epoch}`, { epoch: event.epoch, from: event.from, cause });
}

function takeLeaseEvent(d: Draft, event: LeaseEvent, now: Now): void {
  switch (event.k) {
    case 'claimed':
      takeClaimed(d, event, now);
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
      d.phasesMs = {};
      // The lease's own reasons have no order before them that would have said so.
      if (event.cause === 'clock' || event.cause === 'fence') d.lastYield = { heir: event.heir, cause: event.cause, by: '' };
      log(d, 'info', 'yielding', `giving up epoch ${event.epoch} (${event.cause})`, { epoch: event.epoch, heir: event.heir });
      break;
    case 'released':
      d.phasesMs = { ...d.phasesMs, revokeMs: event.revokeMs, releaseMs: event.releaseMs };
      log(d, 'info', 'released', `released epoch ${event.epoch}`, { ...d.phasesMs, epoch: event.epoch, heir: event.heir });
      break;
    case 'rosterChanged':
      log(d, 'info', 'roster_changed', `roster ${event.version}: ${event.nodes.join(', ')}`, { version: event.version });
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
