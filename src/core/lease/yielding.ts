// Giving the role up: off first, confirmed, then RELEASE, then the heir is told.
//
// A released record waits for nothing, so RELEASE (or its twin, StepDown) leaves only after the effects are confirmed ended. If that cannot
// be confirmed nothing is released, and the lease expires by itself. When Redis cannot be reached, StepDown to every peer says the same
// first-hand; peers treat exactly this record as released.
import type { Now } from '../types.ts';
import { bits, type Draft, takeNonce, takeOps, type Yielding } from './state.ts';
import { majorityOf } from './timing.ts';

// A former holder stays back this long, so that the heir is never raced by it. (facts: lease, handover)
const FORMER_HOLDER_BACKOFF_MS = 1000;

/** One turn while yielding. Returns when to look again. */
export function stepYielding(d: Draft, phase: Yielding, now: Now): number {
  if (phase.release === null) {
    d.reason = `giving up epoch ${phase.epoch} (${phase.cause}): waiting until the address is confirmed off`;
    // Not confirmed by then: the record has been free to others for long, and a release can no longer help.
    const giveUpAt = phase.validUntil + 3 * d.config.ttlMs;
    if (now.mono < giveUpAt) return giveUpAt;
    d.phase = { tag: 'follower' };
    return now.mono;
  }
  const deadline = phase.release.sentAt + d.config.claimTimeoutMs;
  if (now.mono < deadline) return deadline;
  announce(d, phase, now, true);
  return now.mono;
}

/** The effects of this epoch have ended: release it everywhere. */
export function effectsEnded(d: Draft, phase: Yielding, now: Now): void {
  if (phase.release !== null) return;
  const firstOp = takeOps(d);
  for (let i = 0; i < d.config.servers; i++) {
    const call = { script: 'release', me: d.me, epoch: phase.epoch, nonce: takeNonce(d), heir: phase.heir } as const;
    d.effects.push({ k: 'redis', server: i, op: firstOp + i, call });
  }
  const next: Yielding = { ...phase, release: { firstOp, sentAt: now.mono, acks: 0, failed: 0 } };
  d.phase = next;
  d.reason = `releasing epoch ${phase.epoch}`;
  // With no majority in reach nobody will see the RELEASE: say it first-hand at once.
  if (d.config.servers - bits(d.failing) < majorityOf(d.config.servers)) announce(d, next, now, true);
}

/** An answer to RELEASE. */
export function releaseAnswered(d: Draft, phase: Yielding, server: number, op: number, ok: boolean, now: Now): void {
  if (phase.release === null || op !== phase.release.firstOp + server) return;
  const bit = 1 << server;
  const release = {
    ...phase.release,
    acks: ok ? phase.release.acks | bit : phase.release.acks,
    failed: ok ? phase.release.failed : phase.release.failed | bit,
  };
  const next: Yielding = { ...phase, release };
  d.phase = next;
  const majority = majorityOf(d.config.servers);
  if (bits(release.acks) >= majority) announce(d, next, now, false);
  else if (d.config.servers - bits(release.failed) < majority) announce(d, next, now, true);
}

function announce(d: Draft, phase: Yielding, now: Now, firstHand: boolean): void {
  const endedAt = phase.release?.sentAt ?? now.mono;
  const revokeMs = endedAt - phase.since;
  d.effects.push({ k: 'event', event: { k: 'released', epoch: phase.epoch, heir: phase.heir, revokeMs, releaseMs: now.mono - endedAt } });
  if (firstHand) d.effects.push({ k: 'stepDown', epoch: phase.epoch });
  if (phase.heir !== '' && phase.heir !== d.self.node) d.effects.push({ k: 'handover', to: phase.heir, epoch: phase.epoch });
  d.phase = { tag: 'follower' };
  // A fence lost without another heir is released to oneself: the next epoch announces the delay.
  d.backoffUntil = phase.heir === d.self.node ? now.mono : now.mono + FORMER_HOLDER_BACKOFF_MS;
  d.nextPollAt = now.mono;
  d.reason = `released epoch ${phase.epoch}${phase.heir === '' ? '' : ` to ${phase.heir}`}`;
}
