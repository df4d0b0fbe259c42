// The lease: who is active. One record on each of N independent Redis servers decides, and nothing else.
//
//   follower --claim sent--> claiming --majority ok--> active --yield--> yielding --released--> follower
//      ^                        |  too late, refused      |  lapsed for 3 T, or taken            (not confirmed: after 3 T)
//      +------------------------+-------------------------+
//
// Rules (numbers as in the architecture, section 5):
//   L1  At most one agent is active inside its validity. A claim needs a majority of servers whose record this node's own clock saw unchanged
//       for T_obs plus the announced lockDelay (observe.ts); it is an exact compare-and-set on what was seen, run_id included.
//   L2  Every attempt has a fresh epoch, every write a fresh nonce.
//   L3  Validity counts from the send of a round whose own acknowledgements are a majority (holder.ts).
//   L4  Nothing is claimed while a promise stands, a veto holds, or a stall is unjudged (contender.ts, one choke point).
//   L6  After a release nothing acts under that epoch; a release leaves only when the effects have ended (yielding.ts).
//   L9  Failsafe extends a valid holder only (failsafe.ts).
// A missing answer is always "unknown": the command may still run. Nothing here concludes from it that it did not.
//
// Source: facts on the observed-change lease; its neighbours are Redlock's delayed restart, client-go's leader election, PaxosLease.
import type { Now } from '../types.ts';
import { claimAnswered, failClaim, settleClaim, stepFollower } from './contender.ts';
import { endPromise, failsafeAnswered, failsafeAsked } from './failsafe.ts';
import { depose, mayAct, renewAnswered, startYield, stepActive } from './holder.ts';
import { observe } from './observe.ts';
import { changeRoster, learnRoster } from './roster.ts';
import { type Draft, type LeaseState, learnEpoch, readAll } from './state.ts';
import type { LeaseConfig, LeaseContext, LeaseDesired, LeaseEffect, LeaseInput, LeaseSelf, Roster, ScriptCode, Snap } from './types.ts';
import { noticeOwner, ownerDone } from './wrap.ts';
import { effectsEnded, releaseAnswered, stepYielding } from './yielding.ts';

const STEPPED_DOWN_MAX = 64;

/** A fresh follower. `epochOnDisk` and `rosterOnDisk` are the highest this node ever persisted; `seed` feeds the back-off. */
export function createLease(
  self: LeaseSelf,
  config: LeaseConfig,
  now: Now,
  seed: number,
  epochOnDisk: number,
  rosterOnDisk: Roster | null = null,
): LeaseState {
  return {
    self,
    me: `${self.node}#${self.boot}`,
    config,
    seed,
    op: 1,
    nonce: 0,
    round: 0,
    epochKnown: epochOnDisk,
    servers: Array.from({ length: config.servers }, () => null),
    failing: 0,
    steppedDown: [],
    promise: null,
    roster: rosterOnDisk,
    atLarge: [],
    nextPollAt: now.mono,
    backoffUntil: now.mono,
    lastStepAt: now.mono,
    phase: { tag: 'follower' },
  };
}

/** What one step returns; `wakeAt` is monotonic ms. */
export type LeaseTurn = {
  readonly state: LeaseState;
  readonly effects: readonly LeaseEffect[];
  readonly desired: LeaseDesired;
  readonly wakeAt: number;
  readonly reason: string;
};

/** One fact in, orders out. Total: it never throws. */
export function stepLease(state: LeaseState, input: LeaseInput, ctx: LeaseContext, now: Now): LeaseTurn {
  const d: Draft = { ...state, effects: [], reason: '', ctx };
  noticeStall(d, now);
  learnEpoch(d, ctx.gossipEpoch);
  take(d, input, now);
  const wakeAt = turn(d, now);
  d.lastStepAt = now.mono;
  // The working copy becomes the state, less its orders: copying it once more would be the dearest part of a turn.
  const { effects, reason } = d;
  d.effects = [];
  return { state: d, effects, desired: desiredOf(d, now), wakeAt, reason };
}

/** A gap of more than T/2 between two turns of a holder is a stall: nothing is admitted before a round sent after it was acknowledged. */
function noticeStall(d: Draft, now: Now): void {
  if (d.phase.tag === 'active' && now.mono - d.lastStepAt > d.config.ttlMs / 2) {
    d.phase = { ...d.phase, revalidateFrom: now.mono, nextRenewAt: Math.min(d.phase.nextRenewAt, now.mono) };
  }
}

function take(d: Draft, input: LeaseInput, now: Now): void {
  switch (input.k) {
    case 'tick':
      break;
    case 'reply':
      takeReply(d, input.server, input.op, input.code, input.snap, now);
      break;
    case 'fail':
      if (input.server < 0 || input.server >= d.config.servers) return;
      d.failing |= 1 << input.server;
      answered(d, input.server, input.op, 'fail', '', now);
      break;
    case 'stepDown':
      doneFirstHand(d, input, now);
      break;
    case 'handover':
      doneFirstHand(d, input, now);
      if (d.phase.tag === 'follower') readAll(d, now.mono);
      break;
    case 'failsafeRequest':
      failsafeAsked(d, input, now);
      break;
    case 'failsafeReply':
      failsafeAnswered(d, input, now);
      break;
    case 'ended':
      if (d.phase.tag === 'yielding' && input.epoch >= d.phase.epoch) effectsEnded(d, d.phase, now);
      break;
    case 'yield':
      if (d.phase.tag === 'active') startYield(d, d.phase, input.cause, input.heir, now);
      break;
    case 'roster':
      changeRoster(d, input.nodes, now);
      break;
    case 'renew':
      if (d.phase.tag === 'active') d.phase = { ...d.phase, nextRenewAt: now.mono };
      break;
    case 'fenceLost':
      fenceLost(d, now);
      break;
  }
}

function takeReply(d: Draft, server: number, op: number, code: ScriptCode, snap: Snap, now: Now): void {
  if (server < 0 || server >= d.config.servers) return;
  d.failing &= ~(1 << server);
  const seen = observe(d.servers[server] ?? null, snap, now.mono, d.config);
  d.servers = d.servers.map((s, i) => (i === server ? seen : s));
  learnEpoch(d, Number(snap.hi === '' ? 0 : snap.hi));
  learnRoster(d, seen);
  noticeOwner(d, snap);
  answered(d, server, op, code, snap.run, now);
}

function answered(d: Draft, server: number, op: number, code: ScriptCode | 'fail', run: string, now: Now): void {
  const phase = d.phase;
  if (phase.tag === 'claiming') claimAnswered(d, phase, server, op, code, run, now);
  else if (phase.tag === 'active') renewAnswered(d, phase, server, op, code, now);
  // 'lost' to a RELEASE means that nothing of ours is there: as good as released.
  else if (phase.tag === 'yielding') releaseAnswered(d, phase, server, op, code === 'ok' || code === 'lost', now);
}

function doneFirstHand(d: Draft, word: Extract<LeaseInput, { k: 'stepDown' | 'handover' }>, now: Now): void {
  const { from, boot, epoch } = word;
  endPromise(d, from, boot, epoch);
  ownerDone(d, from, epoch);
  // The heir hears both, in any order; the first of them counts.
  const before = d.steppedDown.find((s) => s.node === from && s.boot === boot && s.epoch === epoch);
  const said = { node: from, boot, epoch, at: before?.at ?? now.mono, heir: word.k === 'handover' || before?.heir === true };
  d.steppedDown = [said, ...d.steppedDown.filter((s) => s.node !== from)].slice(0, STEPPED_DOWN_MAX);
  d.nextPollAt = Math.min(d.nextPollAt, now.mono);
}

/** The epoch announced that the kernel guards the address. Without the kernel nothing may act under it. */
function fenceLost(d: Draft, now: Now): void {
  const phase = d.phase;
  if (phase.tag === 'claiming' && phase.lockDelayMs === 0) failClaim(d, phase, now);
  if (phase.tag !== 'active' || phase.lockDelayMs !== 0) return;
  if (phase.lapsed) depose(d, phase, 'its fence is gone');
  else startYield(d, phase, 'fence', d.ctx.heir ?? '', now);
}

function turn(d: Draft, now: Now): number {
  if (d.phase.tag === 'claiming') settleClaim(d, now);
  switch (d.phase.tag) {
    case 'follower':
      return stepFollower(d, now);
    case 'claiming':
      return d.phase.sentAt + d.config.claimTimeoutMs;
    case 'active':
      return stepActive(d, d.phase, now);
    case 'yielding':
      return stepYielding(d, d.phase, now);
  }
}

/** The lasting conditions that follow from a state at a moment. */
export function desiredOf(state: LeaseState, now: Now): LeaseDesired {
  const phase = state.phase;
  if (phase.tag !== 'active') {
    const epoch = phase.tag === 'yielding' ? phase.epoch : state.epochKnown;
    return { acting: false, epoch, enforceAt: Number.NEGATIVE_INFINITY, validUntil: Number.NEGATIVE_INFINITY, lockDelayMs: 0 };
  }
  return {
    acting: mayAct(phase, state.config.guardMs, now),
    epoch: phase.epoch,
    enforceAt: phase.validUntil - state.config.guardMs,
    validUntil: phase.validUntil,
    lockDelayMs: phase.lockDelayMs,
  };
}
