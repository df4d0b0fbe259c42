// The lease machine's state: one union of phases, each with the data that is valid only then.
import type { NodeId } from '../types.ts';
import type { Observation, SteppedDown } from './observe.ts';
import type { LeaseConfig, LeaseContext, LeaseEffect, LeaseSelf, Roster, YieldCause } from './types.ts';

/** Boot clock and wall clock, each minus the monotonic clock: constant unless the machine stood still or a clock was stepped. */
export type Skew = { readonly boot: number; readonly wall: number };

/** A round of scripts sent at one moment; the op of server i is `firstOp + i`. Masks have one bit a server. */
export type Round = {
  readonly firstOp: number;
  readonly sentAt: number;
  readonly skew: Skew;
  /** Servers that got a script that counts (renew or adopt), and those that acknowledged it. */
  readonly counted: number;
  readonly acks: number;
  /** Servers that answered that somebody else owns the record, or that it is released. */
  readonly lost: number;
};

/** One failsafe question to every other roster member. */
export type FailsafeRound = {
  readonly round: number;
  readonly sentAt: number;
  /** The clocks at the send: an answer that arrives after the machine stood still must not hide that it did. */
  readonly skew: Skew;
  readonly waiting: readonly NodeId[];
};

/** Not acting, watching. */
export type Follower = { readonly tag: 'follower' };

/** A claim is in flight. */
export type Claiming = {
  readonly tag: 'claiming';
  readonly epoch: number;
  readonly lockDelayMs: number;
  readonly meta: string;
  readonly firstOp: number;
  readonly sentAt: number;
  readonly skew: Skew;
  readonly asked: number;
  readonly acks: number;
  readonly refused: number;
  /** run_id of each server that acknowledged. */
  readonly trust: readonly (string | null)[];
  readonly roster: readonly NodeId[];
  readonly from: NodeId | '';
  readonly cause: 'first' | 'expired' | 'released' | 'handover';
  readonly waitedMs: number;
  /** Somebody may still act whose epoch is the stronger VRRP priority (wrap.ts). */
  readonly weaker: boolean;
};

/** Holder of `epoch`; it acts while its validity lasts, and is "lapsed" afterwards for up to 3 T. */
export type Active = {
  readonly tag: 'active';
  readonly epoch: number;
  readonly lockDelayMs: number;
  readonly meta: string;
  readonly roster: readonly NodeId[];
  /** A change of the roster on its way: the roster before it, when it was first sent, whether a majority carries it. */
  readonly changing: { readonly before: readonly NodeId[]; readonly since: number; readonly carried: boolean } | null;
  readonly validUntil: number;
  /** Nothing acts before this moment; -Infinity = at once. */
  readonly actFrom: number;
  /** Send time of the newest round a majority of Redis acknowledged. */
  readonly redisAckAt: number;
  /** Send time of the newest acknowledged round, Redis or failsafe, and its skew. */
  readonly skew: Skew;
  readonly trust: readonly (string | null)[];
  readonly rounds: readonly Round[];
  readonly nextRenewAt: number;
  readonly failsafe: FailsafeRound | null;
  readonly failsafeOn: boolean;
  readonly nextFailsafeAt: number;
  readonly lapsed: boolean;
  /** After a long stall nothing is admitted before a round sent at or after this moment is acknowledged; -Infinity = no stall. */
  readonly revalidateFrom: number;
};

/** The role is being given up; nothing acts. RELEASE leaves only once the effects have ended. */
export type Yielding = {
  readonly tag: 'yielding';
  readonly epoch: number;
  readonly cause: YieldCause;
  readonly heir: NodeId | '';
  readonly since: number;
  readonly validUntil: number;
  /** Set when the release is on its way: op of server 0, when it was sent, whether the heir was told. */
  readonly release: { readonly firstOp: number; readonly sentAt: number; readonly acks: number; readonly failed: number } | null;
};

export type Phase = Follower | Claiming | Active | Yielding;

/** A failsafe promise: no claim before `until`, unless exactly this holder says it is done. */
export type Standing = { readonly node: NodeId; readonly boot: number; readonly epoch: number; readonly until: number };

/** Everything the lease remembers. */
export type LeaseState = {
  readonly self: LeaseSelf;
  /** `node#boot`, the owner text. */
  readonly me: string;
  readonly config: LeaseConfig;
  readonly seed: number;
  readonly op: number;
  readonly nonce: number;
  readonly round: number;
  /** Highest epoch known from anywhere, own attempts included. */
  readonly epochKnown: number;
  readonly servers: readonly (Observation | null)[];
  /** Servers whose last command failed. */
  readonly failing: number;
  readonly steppedDown: readonly SteppedDown[];
  readonly promise: Standing | null;
  /** Newest roster that any record named; null = none did yet. */
  readonly roster: Roster | null;
  /** Owners that were seen and have not said that they are done. */
  readonly atLarge: readonly { readonly o: string; readonly e: number }[];
  readonly nextPollAt: number;
  readonly backoffUntil: number;
  readonly lastStepAt: number;
  readonly phase: Phase;
};

/** One step's working copy: replaced fields only, nested values are never changed in place. */
export type Draft = { -readonly [K in keyof LeaseState]: LeaseState[K] } & {
  effects: LeaseEffect[];
  reason: string;
  readonly ctx: LeaseContext;
};

/** Number of set bits. */
export function bits(mask: number): number {
  let n = 0;
  for (let m = mask; m !== 0; m &= m - 1) n++;
  return n;
}

/** Next op number for a round that asks every server: the op of server i is the result plus i. */
export function takeOps(d: Draft): number {
  const first = d.op;
  d.op += d.config.servers;
  return first;
}

/** A nonce that no write ever carried. */
export function takeNonce(d: Draft): string {
  d.nonce += 1;
  return `${d.me}:${d.nonce}`;
}

/** Sends READ to every server, and plans the next poll. */
export function readAll(d: Draft, at: number): void {
  const first = takeOps(d);
  for (let i = 0; i < d.config.servers; i++) {
    d.effects.push({ k: 'redis', server: i, op: first + i, call: { script: 'read', nonce: takeNonce(d) } });
  }
  // Ranks 0 and 1 watch closely; the rest save the servers work until the holder looks suspect.
  const close = d.ctx.rank <= 1 || d.ctx.suspicious;
  d.nextPollAt = at + (close ? d.config.pollMs : farPollMs(d.config, d.ctx.crowd ?? 0));
}

// All who watch from afar send a server forty questions a second together, however many they are.
const FAR_MS = 500;
const FAR_MS_PER_NODE = 25;

/**
 * How often a node far from the role looks, ms. Always often enough to look twice more before a record that it saw change last can be ripe:
 * what it believes to stand still must have been looked at.
 */
export function farPollMs({ ttlMs, pollMs }: Pick<LeaseConfig, 'ttlMs' | 'pollMs'>, crowd: number): number {
  return Math.max(pollMs, Math.min(Math.max(FAR_MS, FAR_MS_PER_NODE * crowd), ttlMs - 2 * pollMs));
}

/** Raises the known epoch and asks for it to be persisted. */
export function learnEpoch(d: Draft, epoch: number): void {
  if (!Number.isSafeInteger(epoch) || epoch <= d.epochKnown) return;
  d.epochKnown = epoch;
  d.effects.push({ k: 'persistEpoch', epoch });
}
