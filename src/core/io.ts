// The one way through the house: facts come in as Input, orders leave as Effect, lasting conditions as Desired.
import type { Evidence, HealthWant } from './health/types.ts';
import type { LoadOrder } from './hotset/types.ts';
import type { LeaseDesired, LeaseEffect, LeaseInput, Roster } from './lease/types.ts';
import type { Frame, MembershipEffect, MembershipInput, MemberUpdate } from './membership/types.ts';
import type { Inventory, RemoveModel, ReplicationPlan } from './replication/types.ts';
import type { Settings } from './settings/types.ts';
import type { Enforcer, NodeId, Role } from './types.ts';

/** A first-hand message over the authenticated stream of two nodes. */
export type PeerMessage =
  | { readonly k: 'frame'; readonly frame: Frame }
  | { readonly k: 'stepDown'; readonly boot: number; readonly epoch: number }
  | { readonly k: 'handover'; readonly boot: number; readonly epoch: number; readonly why?: HandoverWhy }
  | {
      readonly k: 'failsafeRequest';
      readonly boot: number;
      readonly epoch: number;
      readonly ttlMs: number;
      readonly lockDelayMs: number;
      readonly round: number;
    }
  | {
      readonly k: 'failsafeReply';
      readonly epoch: number;
      readonly round: number;
      readonly verdict: 'accepted' | 'nack' | 'not_in_roster';
      readonly nackEpoch: number;
    }
  | { readonly k: 'switchoverRequest'; readonly id: number; readonly to: NodeId | ''; readonly by: string }
  /** Answers every forwarded wish: switchover, forced claim, change of the roster. */
  | { readonly k: 'switchoverReply'; readonly id: number; readonly accepted: boolean; readonly vetoes: readonly string[] }
  | { readonly k: 'settings'; readonly settings: Settings }
  | { readonly k: 'forceClaim'; readonly id: number; readonly by: string }
  /** `boot` is the sender's: who leaves means this process of it; 0 = not told. */
  | {
      readonly k: 'rosterRequest';
      readonly id: number;
      readonly node: NodeId;
      readonly by: string;
      readonly leaving: boolean;
      readonly boot: number;
    }
  | { readonly k: 'forgotten'; readonly node: NodeId }
  /** An operator takes the sudden loss of models on the active of this epoch for real. */
  | { readonly k: 'acceptDeletes'; readonly epoch: number; readonly by: string };

/** Why a former holder gave the role up, and how long that took it, ms. */
export type HandoverWhy = { readonly cause: string; readonly by: string; readonly revokeMs: number; readonly releaseMs: number };

/** An operator's wish. `id` pairs it with its reply effect. */
export type Command =
  | { readonly k: 'switchover'; readonly to: NodeId | ''; readonly by: string; readonly dryRun: boolean }
  /** Switch over later; `atMs` is wall-clock ms. */
  | { readonly k: 'schedule'; readonly to: NodeId | ''; readonly atMs: number; readonly by: string }
  | { readonly k: 'unschedule' }
  /** `wait`: answer only once every living node has confirmed it. */
  | { readonly k: 'pause'; readonly paused: boolean; readonly by: string; readonly wait: boolean }
  /** `node` '' = this one. `drainMs`: give open requests so long before the role moves, and answer when it has; null = at once, unwatched. */
  | {
      readonly k: 'maintenance';
      readonly node: NodeId | '';
      readonly on: boolean;
      readonly by: string;
      readonly wait: boolean;
      readonly drainMs: number | null;
    }
  /** There is no holder: one claim against the advice of the node's own judgement. */
  | { readonly k: 'failover'; readonly to: NodeId | ''; readonly by: string }
  /** This node leaves the cluster for good. */
  | { readonly k: 'leave'; readonly by: string }
  | { readonly k: 'forget'; readonly node: NodeId; readonly by: string }
  /** Another process of this node is about to go on in place of this one: answered when the lease can be handed on (lease/handon.ts). */
  | { readonly k: 'handOn' }
  | { readonly k: 'stop' };

/** Everything that reaches the core. */
export type Input =
  | { readonly k: 'tick' }
  | Extract<LeaseInput, { k: 'reply' | 'fail' }>
  | Exclude<MembershipInput, { k: 'tick' | 'frame' }>
  /** `from` is the name in the peer's certificate. */
  | { readonly k: 'peer'; readonly from: NodeId; readonly msg: PeerMessage }
  | { readonly k: 'evidence'; readonly evidence: Evidence }
  /** What enforces the end of the address here, proven just now. `none` while it was `nft` before = fence lost. */
  | { readonly k: 'fence'; readonly kind: Enforcer }
  /** The address was taken down and confirmed off, the fence confirmed closed, for everything up to `epoch`. */
  | { readonly k: 'ended'; readonly epoch: number; readonly phasesMs: Readonly<Record<string, number>> }
  /** The address was asked for and is confirmed on the interface. */
  | { readonly k: 'granted'; readonly epoch: number; readonly phasesMs: Readonly<Record<string, number>> }
  /** Is the address on the interface now; null = could not be read. */
  | { readonly k: 'address'; readonly present: boolean | null }
  /** MACs that answered for the address at the last ARP watch, and ours. */
  | { readonly k: 'wire'; readonly macs: readonly string[]; readonly own: string }
  | { readonly k: 'inventory'; readonly inventory: Inventory }
  | { readonly k: 'peerInventory'; readonly from: NodeId; readonly boot: number; readonly epoch: number; readonly inventory: Inventory }
  /** The main loop woke late; waiting socket reads have not been handled yet. `stall` ends it. */
  | { readonly k: 'stalling' }
  | { readonly k: 'load'; readonly loopLagMs: number; readonly load: number }
  /** A settings record found in Redis. */
  | { readonly k: 'settings'; readonly settings: Settings }
  /** Established connections to the local Ollama from elsewhere; null = could not be counted. Asked only while this node drains. */
  | { readonly k: 'open'; readonly count: number | null }
  /** An operator takes the sudden loss of models on the active for real. */
  | { readonly k: 'acceptDeletes'; readonly by: string }
  | { readonly k: 'command'; readonly id: number; readonly command: Command };

/** Result of a command, in words for the operator. */
export type CommandResult = {
  readonly outcome: 'done' | 'refused' | 'nothing' | 'incomplete' | 'unknown';
  readonly text: string;
  readonly vetoes: readonly string[];
  readonly epoch: number;
  readonly phasesMs: Readonly<Record<string, number>>;
};

/** One line of history: a change of holder. */
export type HistoryEntry = {
  readonly epoch: number;
  readonly from: NodeId | '';
  readonly to: NodeId | '';
  readonly cause: string;
  readonly reason: string;
  readonly by: string;
  /** Wall clock of the writer, ms. */
  readonly atMs: number;
  readonly phasesMs: Readonly<Record<string, number>>;
};

/** One-shot orders. */
export type Effect =
  | Extract<LeaseEffect, { k: 'redis' | 'persistEpoch' }>
  | Extract<MembershipEffect, { k: 'indirectProbe' | 'directProbe' | 'dial' }>
  | { readonly k: 'send'; readonly to: NodeId; readonly msg: PeerMessage }
  | { readonly k: 'pushPull'; readonly to: NodeId; readonly members: readonly MemberUpdate[] }
  | { readonly k: 'fetchInventory'; readonly from: NodeId; readonly version: number }
  | { readonly k: 'commandResult'; readonly id: number; readonly result: CommandResult }
  /** `publish`: this node tells it first-hand, so it also writes it to Redis. */
  | { readonly k: 'history'; readonly entry: HistoryEntry; readonly publish: boolean }
  /** `publish`: this node made the change, so it also writes it to Redis. */
  | { readonly k: 'persistSettings'; readonly settings: Settings; readonly publish: boolean }
  | { readonly k: 'persistRoster'; readonly roster: Roster }
  /** This process must not go on: it says why, and what to do, and exits. */
  | { readonly k: 'end'; readonly text: string; readonly hint: string }
  /** `event` is a stable id for logs and alerts. */
  | {
      readonly k: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly event: string;
      readonly text: string;
      readonly fields: Readonly<Record<string, string | number | boolean>>;
    };

/** The address as it should be. Off is the only answer to doubt. */
export type VipWant =
  | { readonly on: false; readonly epoch: number }
  /** `enforceAt`: monotonic ms at which the kernel fence must have closed. */
  | { readonly on: true; readonly epoch: number; readonly enforceAt: number };

/** Lasting conditions, compared and repaired on every turn; all off on stop. */
export type Desired = {
  readonly role: Role;
  readonly lease: LeaseDesired;
  readonly vip: VipWant;
  /** Null: no active to copy from, or this node is the active and has nothing to repair. */
  readonly replicate: ReplicationPlan | null;
  /** Models that shall not be here any more. */
  readonly remove: readonly RemoveModel[];
  /** What to ask of, do to, and load into the local Ollama. */
  readonly care: CareWant;
};

/** What the drivers around Ollama are to do. A new number in it is a new order. */
export type CareWant = HealthWant & { readonly load: LoadOrder | null };

/** What a turn returns. `wakeAt` is monotonic ms. */
export type Turn<S> = {
  readonly state: S;
  readonly effects: readonly Effect[];
  readonly desired: Desired;
  readonly wakeAt: number;
  /** The turn in one sentence. */
  readonly reason: string;
};
