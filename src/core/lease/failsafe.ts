// Failsafe (F-U): while Redis has no majority, a still valid holder goes on as long as *every* other roster member acknowledges.
//
// Safe because any rival claim must be sent by a roster member: after its promise it refuses, before it the claim in flight is voided, and a
// member that is active itself answers NACK. A single missing answer means no extension. It never revives a lapsed holder.
// The shape is Patroni's failsafe_mode; a quorum is not enough without grants on the claim side.
import type { NodeId, Now } from '../types.ts';
import { failClaim } from './contender.ts';
import { rosterOf, votersOf } from './roster.ts';
import { type Draft, learnEpoch } from './state.ts';
import { waitMs } from './timing.ts';
import type { LeaseInput } from './types.ts';

type Request = Extract<LeaseInput, { k: 'failsafeRequest' }>;
type Reply = Extract<LeaseInput, { k: 'failsafeReply' }>;

// Anything longer is not a lease of ours; an unbounded promise would let one peer stop every election.
const PROMISE_MS_MAX = 60_000;

/** Asks the members when Redis has been silent for 1.5 R, again each R. Returns when to look again. */
export function askFailsafe(d: Draft, now: Now): number {
  const phase = d.phase;
  if (phase.tag !== 'active' || d.config.failsafe === 'off' || phase.lapsed) return Number.POSITIVE_INFINITY;
  const from = phase.redisAckAt + 1.5 * d.config.renewMs;
  if (now.mono < from) return from;
  if (now.mono < phase.nextFailsafeAt) return phase.nextFailsafeAt;
  const others = votersOf(phase).filter((node) => node !== d.self.node);
  d.round += 1;
  for (const to of others) {
    d.effects.push({ k: 'failsafe', to, epoch: phase.epoch, ttlMs: d.config.ttlMs, lockDelayMs: phase.lockDelayMs, round: d.round });
  }
  const nextFailsafeAt = now.mono + d.config.renewMs;
  const skew = { boot: now.boot - now.mono, wall: now.wall - now.mono };
  d.phase = { ...phase, failsafe: { round: d.round, sentAt: now.mono, skew, waiting: others }, nextFailsafeAt };
  return nextFailsafeAt;
}

/** A member's answer. */
export function failsafeAnswered(d: Draft, reply: Reply, now: Now): void {
  const phase = d.phase;
  if (phase.tag !== 'active' || phase.lapsed || phase.failsafe === null) return;
  if (reply.round !== phase.failsafe.round || reply.epoch !== phase.epoch || reply.verdict !== 'accepted') return;
  const waiting = phase.failsafe.waiting.filter((node) => node !== reply.from);
  if (waiting.length > 0) {
    d.phase = { ...phase, failsafe: { ...phase.failsafe, waiting } };
    return;
  }
  // Only a holder that is valid at this moment may be extended.
  if (now.mono >= phase.validUntil) return;
  if (!phase.failsafeOn) d.effects.push({ k: 'event', event: { k: 'failsafe', epoch: phase.epoch, on: true } });
  d.phase = {
    ...phase,
    validUntil: Math.max(phase.validUntil, phase.failsafe.sentAt + d.config.ttlMs),
    skew: phase.failsafe.skew,
    failsafe: null,
    failsafeOn: true,
    revalidateFrom: phase.failsafe.sentAt >= phase.revalidateFrom ? Number.NEGATIVE_INFINITY : phase.revalidateFrom,
  };
}

/** A holder asks this member to stay back. */
export function failsafeAsked(d: Draft, ask: Request, now: Now): void {
  const answer = (verdict: Reply['verdict'], nackEpoch: number) =>
    d.effects.push({ k: 'failsafeReply', to: ask.from, epoch: ask.epoch, round: ask.round, verdict, nackEpoch });
  const phase = d.phase;
  if (phase.tag === 'active' && !phase.lapsed && now.mono < phase.validUntil) {
    answer('nack', phase.epoch);
    return;
  }
  if (!rosterOf(d).nodes.includes(ask.from) || ask.ttlMs + ask.lockDelayMs > PROMISE_MS_MAX) {
    answer('not_in_roster', 0);
    return;
  }
  if (phase.tag === 'claiming') failClaim(d, phase, now);
  // A lapsed holder that accepts must not be revived by a late renewal: the asker is valid now.
  if (phase.tag === 'active') d.phase = { tag: 'follower' };
  learnEpoch(d, ask.epoch);
  const until = now.mono + waitMs(Math.max(ask.ttlMs, d.config.ttlMs) + ask.lockDelayMs, d.config.driftPpm);
  d.promise = { node: ask.from, boot: ask.boot, epoch: ask.epoch, until };
  answer('accepted', 0);
  d.reason = `promised ${ask.from} to stay back while Redis is away`;
}

/** The promised holder says first-hand that it is done: the promise ends early, for exactly that epoch. */
export function endPromise(d: Draft, from: NodeId, boot: number, epoch: number): void {
  const p = d.promise;
  if (p !== null && p.node === from && p.boot === boot && p.epoch === epoch) d.promise = null;
}
