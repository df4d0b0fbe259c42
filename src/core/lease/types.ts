// The lease's vocabulary: its record, the scripts' words, its configuration, its inputs and orders.
import type { Identity, NodeId } from '../types.ts';

/** Reply code of every script (drivers/redis/scripts/*.lua). */
export type ScriptCode = 'ok' | 'run' | 'changed' | 'epoch' | 'lost';

/** Why no reply came. Every one of them means "unknown": the command may still run later. */
export type ScriptFailure = 'timeout' | 'closed' | 'oom' | 'readonly' | 'loading' | 'noauth' | 'noperm' | 'misconf' | 'busy' | 'other';

/** The record of one Redis server as a reply carried it. All fields are Redis text; '' = absent. */
export type Snap = {
  /** run_id of the server process that answered, 40 hex digits. */
  readonly run: string;
  /** Owner `node#boot`; '' = vacant. */
  readonly o: string;
  /** Epoch, decimal. */
  readonly e: string;
  /** Nonce of the last write, never repeated. */
  readonly n: string;
  /** '1': the owner will never act again under `e`. */
  readonly rel: string;
  /** Node that may claim a released record at once; '' = anyone. */
  readonly heir: string;
  /** Highest epoch ever written to this server. */
  readonly hi: string;
  /** JSON of LeaseMeta; '' = none. */
  readonly meta: string;
};

/** What the holder announces in its record; the same text for a whole epoch except address and roster. */
export type LeaseMeta = {
  readonly addr: string;
  /** T of the holder. */
  readonly ttl: number;
  readonly lockDelay: number;
  readonly roster: readonly NodeId[];
  readonly rosterVersion: number;
};

/** The nodes that may ever claim, as one record names them. A higher version is newer; under one version the higher epoch is. */
export type Roster = { readonly epoch: number; readonly version: number; readonly nodes: readonly NodeId[] };

/** One script call. The driver adds the key; arguments follow facts of the Lua headers in this order. */
export type ScriptCall =
  | { readonly script: 'read'; readonly nonce: string }
  | {
      readonly script: 'cas';
      readonly mode: 'claim' | 'adopt';
      readonly run: string;
      readonly o: string;
      readonly e: string;
      readonly n: string;
      readonly me: string;
      readonly epoch: number;
      readonly nonce: string;
      readonly meta: string;
    }
  | {
      readonly script: 'renew';
      readonly run: string;
      readonly me: string;
      readonly epoch: number;
      readonly nonce: string;
      readonly meta: string;
    }
  | { readonly script: 'release'; readonly me: string; readonly epoch: number; readonly nonce: string; readonly heir: string };

/** Timing and policy of the lease, in ms; validated by the configuration (facts: rules 1-7 of its section). */
export type LeaseConfig = {
  /** T: how long a renewal round is valid, counted from its send. */
  readonly ttlMs: number;
  /** R: renewal period of the holder. */
  readonly renewMs: number;
  /** P: poll period of a contender. */
  readonly pollMs: number;
  /** Stop acting this long before the end of validity. */
  readonly guardMs: number;
  /** Bound on the clock-rate error between two hosts, parts per million. */
  readonly driftPpm: number;
  /** L: the largest lockDelay any member may announce. */
  readonly lockDelayMs: number;
  readonly claimTimeoutMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Who is not the heir leaves a released record alone for this long. */
  readonly heirGraceMs: number;
  /** Rank r bids r times this after ripeness. */
  readonly rankDelayMs: number;
  readonly failsafe: 'off' | 'unanimous';
  /** Number of independent Redis servers: 1, 3 or 5. */
  readonly servers: number;
  /** A claim needs a proven kernel fence. */
  readonly fenceRequired: boolean;
};

/** What the composition tells the lease besides the clock, anew at every step. */
export type LeaseContext = {
  /** Null: this node must not claim; the text is the veto. */
  readonly veto: string | null;
  /** Place in the order of heirs, 0 = first. */
  readonly rank: number;
  /** The holder looks suspect: every contender polls each P. */
  readonly suspicious: boolean;
  /** The kernel fence was proven on this node. */
  readonly fence: boolean;
  /** Nodes that may ever claim while no record has named any: the roster of the very first claim. */
  readonly roster: readonly NodeId[];
  readonly rosterVersion: number;
  readonly address: string;
  /** Highest epoch heard by gossip. */
  readonly gossipEpoch: number;
  /** A stall of the main loop has not been judged yet: no decision now. */
  readonly stalled: boolean;
  /** Who would take over now, for a role that must be given up at once; null or absent = nobody stands ready. */
  readonly heir?: NodeId | null;
  /** Living nodes, this one included: the more there are, the less often those far from the role look. Absent = few; Infinity = as seldom as is of use. */
  readonly crowd?: number;
};

/** Facts for the lease. */
export type LeaseInput =
  | { readonly k: 'tick' }
  | { readonly k: 'reply'; readonly server: number; readonly op: number; readonly code: ScriptCode; readonly snap: Snap }
  | { readonly k: 'fail'; readonly server: number; readonly op: number; readonly why: ScriptFailure }
  | { readonly k: 'stepDown'; readonly from: NodeId; readonly boot: number; readonly epoch: number }
  | { readonly k: 'handover'; readonly from: NodeId; readonly boot: number; readonly epoch: number }
  | {
      readonly k: 'failsafeRequest';
      readonly from: NodeId;
      readonly boot: number;
      readonly epoch: number;
      readonly ttlMs: number;
      readonly lockDelayMs: number;
      readonly round: number;
    }
  | {
      readonly k: 'failsafeReply';
      readonly from: NodeId;
      readonly epoch: number;
      readonly round: number;
      readonly verdict: 'accepted' | 'nack' | 'not_in_roster';
    }
  /** The effects of `epoch` have ended and that was confirmed: address off, fence closed. */
  | { readonly k: 'ended'; readonly epoch: number }
  /** The holder is to give up its role; `heir` '' = anyone but the order of ranks. */
  | { readonly k: 'yield'; readonly heir: NodeId | ''; readonly cause: YieldCause }
  /** The holder is to make this the roster; ignored while it lapsed, or an earlier change is under way. */
  | { readonly k: 'roster'; readonly nodes: readonly NodeId[] }
  /** The holder is to renew at once. */
  | { readonly k: 'renew' }
  /** The kernel fence of this node was lost. */
  | { readonly k: 'fenceLost' };

/** Why a holder gives its role up. */
export type YieldCause = 'planned' | 'ollama' | 'fence' | 'redis' | 'stop' | 'vip' | 'clock';

/** Orders of the lease. */
export type LeaseEffect =
  | { readonly k: 'redis'; readonly server: number; readonly op: number; readonly call: ScriptCall }
  | {
      readonly k: 'failsafe';
      readonly to: NodeId;
      readonly epoch: number;
      readonly ttlMs: number;
      readonly lockDelayMs: number;
      readonly round: number;
    }
  | {
      readonly k: 'failsafeReply';
      readonly to: NodeId;
      readonly epoch: number;
      readonly round: number;
      readonly verdict: 'accepted' | 'nack' | 'not_in_roster';
      readonly nackEpoch: number;
    }
  | { readonly k: 'handover'; readonly to: NodeId; readonly epoch: number }
  | { readonly k: 'stepDown'; readonly epoch: number }
  | { readonly k: 'persistEpoch'; readonly epoch: number }
  | { readonly k: 'event'; readonly event: LeaseEvent };

/** What history and logs record of the lease. */
export type LeaseEvent =
  | {
      readonly k: 'claimed';
      readonly epoch: number;
      readonly from: NodeId | '';
      readonly cause: 'first' | 'expired' | 'released' | 'handover';
      readonly waitedMs: number;
      readonly claimMs: number;
    }
  | { readonly k: 'claimFailed'; readonly epoch: number; readonly acks: number }
  | { readonly k: 'lapsed'; readonly epoch: number }
  | { readonly k: 'restored'; readonly epoch: number }
  | { readonly k: 'yielding'; readonly epoch: number; readonly heir: NodeId | ''; readonly cause: YieldCause }
  /** `revokeMs`: until the effects had ended; `releaseMs`: until a majority knew. */
  | {
      readonly k: 'released';
      readonly epoch: number;
      readonly heir: NodeId | '';
      readonly revokeMs: number;
      readonly releaseMs: number;
    }
  /** A majority of servers carries the new roster. */
  | { readonly k: 'rosterChanged'; readonly version: number; readonly nodes: readonly NodeId[] }
  | { readonly k: 'deposed'; readonly epoch: number }
  | { readonly k: 'failsafe'; readonly epoch: number; readonly on: boolean };

/** Lasting conditions that follow from the lease. */
export type LeaseDesired = {
  /** The node may act for the cluster: address up, fence open. */
  readonly acting: boolean;
  /** Epoch it acts under, or the last it acted under; 0 = never. */
  readonly epoch: number;
  /** Monotonic ms after which nothing may act: validUntil - guard. */
  readonly enforceAt: number;
  readonly validUntil: number;
  readonly lockDelayMs: number;
};

/** Who the machine is; never changes while the process lives. */
export type LeaseSelf = Identity;
