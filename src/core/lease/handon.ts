// Handing the lease on from a process to the next one of the same node: an agent's restart or upgrade is no failover.
//
// Safe because both are one holder in the eyes of everybody else, and never act at the same time:
//   - Only a valid holder hands on, after a round that was sent for this purpose was acknowledged; from then on the old process takes no
//     further turn. What it sent before may still run: RENEW and adoption of the same owner and epoch, which change nothing but the nonce.
//   - The owner text `node#boot` of the old process goes on, so every script, promise and word ("I am done with this epoch") still fits. The
//     nonce counter goes on too: no write ever repeats one.
//   - Validity is the old process's, in CLOCK_MONOTONIC of the same machine boot; the new process adds nothing to it before a round of its own.
//     If it comes too late, it is a fresh follower, and the record is anybody's after T_obs (facts: lease 5.5).
//   - T and the list of servers are the same, because contenders wait by what the record announced. Who calls `resumeLease` must ensure that.
//   - A roster under change, a failsafe, an unjudged stall or a lapse is not handed on.
// The kernel fence bridges the gap, and ends a hand-on that nobody took.
import type { NodeId, Now } from '../types.ts';
import { stoodStill } from './holder.ts';
import type { Active, LeaseState, Skew } from './state.ts';

/** What the next process needs to go on as the holder. Clocks are this machine's, ms. */
export type HandOn = {
  /** Boot in the owner text, which is that of the process that claimed. */
  readonly boot: number;
  readonly epoch: number;
  readonly validUntil: number;
  readonly actFrom: number;
  readonly redisAckAt: number;
  readonly lockDelayMs: number;
  readonly meta: string;
  readonly roster: readonly NodeId[];
  /** run_id trusted on each server. */
  readonly trust: readonly (string | null)[];
  readonly skew: Skew;
  /** Counter of nonces used so far. */
  readonly nonce: number;
};

/** The lease as it can be handed on now; null = it cannot. `since`: a round sent at or after this moment must have been acknowledged. */
export function handOnOf(state: LeaseState, since: number, now: Now): HandOn | null {
  const phase = state.phase;
  if (phase.tag !== 'active' || phase.lapsed || phase.failsafeOn || phase.changing !== null) return null;
  if (phase.redisAckAt < since || phase.revalidateFrom !== Number.NEGATIVE_INFINITY || now.mono >= phase.validUntil - state.config.guardMs)
    return null;
  const { epoch, validUntil, actFrom, redisAckAt, lockDelayMs, meta, roster, trust, skew } = phase;
  return { boot: state.self.boot, epoch, validUntil, actFrom, redisAckAt, lockDelayMs, meta, roster, trust, skew, nonce: state.nonce };
}

/** The fresh state of a new process as the holder that `given` describes; unchanged when it is too late for that. */
export function resumeLease(fresh: LeaseState, given: HandOn, now: Now): LeaseState {
  const { ttlMs, guardMs, renewMs, servers } = fresh.config;
  const inTime = now.mono < given.validUntil - guardMs && given.validUntil <= now.mono + ttlMs && !stoodStill(given.skew, now);
  if (!inTime || given.trust.length !== servers) return fresh;
  const { boot, nonce, ...kept } = given;
  const phase: Active = {
    tag: 'active',
    ...kept,
    changing: null,
    rounds: [],
    nextRenewAt: Math.min(now.mono, given.redisAckAt + renewMs),
    failsafe: null,
    failsafeOn: false,
    nextFailsafeAt: 0,
    lapsed: false,
    revalidateFrom: Number.NEGATIVE_INFINITY,
  };
  const self = { ...fresh.self, boot };
  return {
    ...fresh,
    self,
    me: `${self.node}#${boot}`,
    nonce,
    epochKnown: Math.max(fresh.epochKnown, given.epoch),
    // No turn has passed in this process: the time since the old one's last turn is no stall, nothing acted in it.
    lastStepAt: Number.POSITIVE_INFINITY,
    phase,
  };
}
