// The holder's side: renew each R, act only inside validity, stop at once when in doubt.
//
// Validity counts from the send time of a round that a majority acknowledged, never from the acknowledgement. A holder whose validity ended
// has lapsed: it does nothing but renew the same epoch for up to 3 T, which is safe because RENEW fails as soon as anybody claimed.
// The lockDelay announced at the claim never changes inside an epoch: a renewal that timed out here may still run later.
import type { Now } from '../types.ts';
import { askFailsafe } from './failsafe.ts';
import { ripeAt } from './observe.ts';
import { settleRoster } from './roster.ts';
import { type Active, bits, type Claiming, type Draft, type Round, type Skew, takeNonce, takeOps } from './state.ts';
import { majorityOf, waitMs } from './timing.ts';
import type { ScriptCode, YieldCause } from './types.ts';

// A machine that stood still has a monotonic clock that stood still too; the other two clocks show it. (facts: 250 ms)
const SUSPEND_MS = 250;
const LAPSED_RENEWALS = 3;

/** Enters the active phase from a claim that a majority acknowledged. */
export function becomeActive(d: Draft, claim: Claiming, now: Now): void {
  d.phase = {
    tag: 'active',
    epoch: claim.epoch,
    lockDelayMs: claim.lockDelayMs,
    meta: claim.meta,
    roster: claim.roster,
    changing: null,
    actFrom: claim.weaker ? now.mono + waitMs(d.config.ttlMs, d.config.driftPpm) : Number.NEGATIVE_INFINITY,
    validUntil: claim.sentAt + d.config.ttlMs,
    redisAckAt: claim.sentAt,
    skew: claim.skew,
    trust: claim.trust,
    rounds: [],
    nextRenewAt: claim.sentAt + d.config.renewMs,
    failsafe: null,
    failsafeOn: false,
    nextFailsafeAt: 0,
    lapsed: false,
    revalidateFrom: Number.NEGATIVE_INFINITY,
  };
  // A leftover promise to an earlier holder must not demote the new one.
  d.promise = null;
  d.atLarge = [];
  d.effects.push({
    k: 'event',
    event: {
      k: 'claimed',
      epoch: claim.epoch,
      from: claim.from,
      cause: claim.cause,
      waitedMs: claim.waitedMs,
      claimMs: now.mono - claim.sentAt,
    },
  });
  d.reason = `active under epoch ${claim.epoch}`;
}

/** True while the node may act: inside validity less the guard, machine not suspended, no long stall unjudged. */
export function mayAct(phase: Active, guardMs: number, now: Now): boolean {
  return (
    !phase.lapsed &&
    now.mono >= phase.actFrom &&
    now.mono < phase.validUntil - guardMs &&
    phase.revalidateFrom === Number.NEGATIVE_INFINITY &&
    !stoodStill(phase.skew, now)
  );
}

/** True when the machine was suspended, or a clock was stepped, since `then`. */
export function stoodStill(then: Skew, now: Now): boolean {
  return Math.max(now.boot - now.mono - then.boot, now.wall - now.mono - then.wall) >= SUSPEND_MS;
}

/** One turn of a holder. Returns when it must be called again. */
export function stepActive(d: Draft, phase: Active, now: Now): number {
  if (stoodStill(phase.skew, now)) {
    startYield(d, phase, 'clock', d.ctx.heir ?? '', now);
    return now.mono;
  }
  if (phase.lapsed) return stepLapsed(d, phase, now);
  if (now.mono >= phase.validUntil - d.config.guardMs) {
    d.phase = { ...phase, lapsed: true, failsafe: null, failsafeOn: false };
    d.effects.push({ k: 'event', event: { k: 'lapsed', epoch: phase.epoch } });
    d.reason = `lapsed: epoch ${phase.epoch} was not renewed in time`;
    return stepLapsed(d, d.phase, now);
  }
  if (now.mono >= phase.nextRenewAt) renew(d, phase, now);
  const wakeFailsafe = askFailsafe(d, now);
  const after = d.phase.tag === 'active' ? d.phase : phase;
  d.reason = after.failsafeOn
    ? `active under epoch ${after.epoch} by the members' failsafe, Redis has no majority`
    : `active under epoch ${after.epoch}`;
  const wakeAt = Math.min(after.nextRenewAt, after.validUntil - d.config.guardMs, wakeFailsafe);
  if (now.mono >= after.actFrom) return wakeAt;
  d.reason += `, not acting for ${Math.ceil(after.actFrom - now.mono)} ms more: a stale holder would be the stronger one on the wire`;
  return Math.min(wakeAt, after.actFrom);
}

function stepLapsed(d: Draft, phase: Active, now: Now): number {
  const ownFenceNeeded = phase.lockDelayMs === 0 && !d.ctx.fence;
  if (ownFenceNeeded || now.mono >= phase.validUntil + LAPSED_RENEWALS * d.config.ttlMs) {
    depose(d, phase, ownFenceNeeded ? 'its fence is gone' : 'it could not be renewed');
    return now.mono;
  }
  if (now.mono >= phase.nextRenewAt) renew(d, phase, now);
  d.reason = `lapsed: epoch ${phase.epoch} is not valid, trying to renew it`;
  return d.phase.tag === 'active' ? d.phase.nextRenewAt : now.mono;
}

/** Back to following, with this epoch behind. Effects are already off because `acting` is. */
export function depose(d: Draft, phase: Active, why: string): void {
  d.phase = { tag: 'follower' };
  d.effects.push({ k: 'event', event: { k: 'deposed', epoch: phase.epoch } });
  d.reason = `gave up epoch ${phase.epoch}: ${why}`;
}

function renew(d: Draft, phase: Active, now: Now): void {
  const firstOp = takeOps(d);
  let counted = 0;
  for (let i = 0; i < d.config.servers; i++) {
    const op = firstOp + i;
    const trusted = phase.trust[i] ?? null;
    const seen = d.servers[i] ?? null;
    if (trusted !== null) {
      counted |= 1 << i;
      const call = { script: 'renew', run: trusted, me: d.me, epoch: phase.epoch, nonce: takeNonce(d), meta: phase.meta } as const;
      d.effects.push({ k: 'redis', server: i, op, call });
    } else if (seen !== null && mayAdopt(d, phase, i, now)) {
      counted |= 1 << i;
      const { run, o, e, n } = seen.snap;
      const call = {
        script: 'cas',
        mode: 'adopt',
        run,
        o,
        e,
        n,
        me: d.me,
        epoch: phase.epoch,
        nonce: takeNonce(d),
        meta: phase.meta,
      } as const;
      d.effects.push({ k: 'redis', server: i, op, call });
    } else {
      d.effects.push({ k: 'redis', server: i, op, call: { script: 'read', nonce: takeNonce(d) } });
    }
  }
  const round: Round = {
    firstOp,
    sentAt: now.mono,
    skew: { boot: now.boot - now.mono, wall: now.wall - now.mono },
    counted,
    acks: 0,
    lost: 0,
  };
  const live = phase.rounds.filter((r) => r.sentAt + d.config.ttlMs > now.mono).slice(-7);
  // Missed turns are not made up: the next round follows this one by R.
  d.phase = { ...phase, rounds: [...live, round], nextRenewAt: now.mono + d.config.renewMs };
}

/** May a valid holder take over this server's record as it was observed? Only where nobody else can be acting by it. */
function mayAdopt(d: Draft, phase: Active, server: number, now: Now): boolean {
  const seen = d.servers[server];
  if (seen == null || seen.snap.n === '' || phase.lapsed || now.mono >= phase.validUntil) return false;
  const { o, e, rel } = seen.snap;
  // Our own record, released: the stop hook spoke for this epoch, and after a release nothing acts under it.
  if (o === d.me && e === String(phase.epoch)) return rel !== '1';
  if (o === '' || rel === '1') return true;
  return ripeAt(seen, d.self.node, d.steppedDown, d.config) <= now.mono;
}

/** A reply or failure to a holder. Observation has been updated before. */
export function renewAnswered(d: Draft, phase: Active, server: number, op: number, code: ScriptCode | 'fail', now: Now): void {
  const at = phase.rounds.findIndex((r) => r.firstOp + server === op);
  const round = phase.rounds[at];
  const bit = 1 << server;
  const seen = d.servers[server] ?? null;
  let next: Active = phase;
  if ((code === 'run' || code === 'lost') && phase.trust[server] !== null && round !== undefined) {
    next = { ...next, trust: next.trust.map((t, i) => (i === server ? null : t)) };
    // Read at once: a vacant record needs its tombstone before it can be adopted, and the next round should find it.
    const first = takeOps(d);
    d.effects.push({ k: 'redis', server, op: first + server, call: { script: 'read', nonce: takeNonce(d) } });
  }
  if (round === undefined || (round.counted & bit) === 0) {
    d.phase = next;
    return;
  }
  // Vacated by FLUSHALL or eviction is not "somebody else": a valid holder adopts it again within R.
  const taken = code === 'lost' && seen !== null && seen.snap.o !== '';
  const answered: Round = code === 'ok' ? { ...round, acks: round.acks | bit } : taken ? { ...round, lost: round.lost | bit } : round;
  if (code === 'ok') next = { ...next, trust: next.trust.map((t, i) => (i === server ? (seen?.snap.run ?? null) : t)) };
  next = { ...next, rounds: next.rounds.map((r, i) => (i === at ? answered : r)) };
  d.phase = next;
  if (bits(answered.lost) >= majorityOf(d.config.servers)) {
    depose(d, next, 'another node holds the lease');
    return;
  }
  if (code === 'ok' && bits(answered.acks) >= majorityOf(d.config.servers)) extend(d, next, answered, now);
}

function extend(d: Draft, phase: Active, round: Round, now: Now): void {
  const validUntil = Math.max(phase.validUntil, round.sentAt + d.config.ttlMs);
  const newest = round.sentAt >= phase.redisAckAt;
  const restored = phase.lapsed && now.mono < validUntil - d.config.guardMs;
  if (phase.failsafeOn) d.effects.push({ k: 'event', event: { k: 'failsafe', epoch: phase.epoch, on: false } });
  if (restored) d.effects.push({ k: 'event', event: { k: 'restored', epoch: phase.epoch } });
  d.phase = {
    ...phase,
    validUntil,
    redisAckAt: Math.max(phase.redisAckAt, round.sentAt),
    skew: newest ? round.skew : phase.skew,
    changing: settleRoster(d, phase, round),
    failsafe: null,
    failsafeOn: false,
    lapsed: phase.lapsed && !restored,
    revalidateFrom: round.sentAt >= phase.revalidateFrom ? Number.NEGATIVE_INFINITY : phase.revalidateFrom,
  };
}

/** Gives the role up: nothing acts from now on; RELEASE follows when the effects are confirmed ended. */
export function startYield(d: Draft, phase: Active, cause: YieldCause, heir: string, now: Now): void {
  d.phase = { tag: 'yielding', epoch: phase.epoch, cause, heir, since: now.mono, validUntil: phase.validUntil, release: null };
  d.effects.push({ k: 'event', event: { k: 'yielding', epoch: phase.epoch, heir, cause } });
  d.reason = `giving up epoch ${phase.epoch} (${cause})`;
}
