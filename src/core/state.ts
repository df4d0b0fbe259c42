// The composed state: one part for each machine, plus the facts that belong to none of them.
import type { CoreConfig } from './config.ts';
import type { HealthState } from './health/machine.ts';
import type { Verdict } from './health/types.ts';
import type { HotState } from './hotset/machine.ts';
import type { CommandResult, Effect, HandoverWhy } from './io.ts';
import type { LeaseState } from './lease/state.ts';
import type { LeaseDesired, YieldCause } from './lease/types.ts';
import type { MembershipState } from './membership/machine.ts';
import type { NodeView } from './membership/types.ts';
import type { DeletionState } from './replication/deletions.ts';
import type { Inventory, ReplicationPlan } from './replication/types.ts';
import type { Settings, SettingsChange } from './settings/types.ts';
import type { NodeId } from './types.ts';

/** The holder as the newest first-hand or Redis evidence names it. */
export type Holder = {
  readonly node: NodeId | '';
  readonly epoch: number;
  readonly cause: string;
  readonly from: NodeId | '';
  /** Who ordered it; '' = nobody, or not known. */
  readonly by: string;
  /** What the holder told of the times of the move; empty = nothing yet. */
  readonly phasesMs: Readonly<Record<string, number>>;
  /** Monotonic ms at which this epoch was first noticed here. */
  readonly since: number;
};

/** A switchover that an operator waits for. */
export type PendingCommand = {
  readonly id: number;
  readonly to: NodeId | '';
  readonly by: string;
  readonly fromEpoch: number;
  readonly startedAt: number;
  readonly giveUpAt: number;
  /** Forwarded to the holder and not yet answered. */
  readonly asked: NodeId | null;
  /** A claim by order where there is no holder. */
  readonly forced?: true;
};

/** An order of an operator that waits for something else than a switchover. `giveUpAt` is monotonic ms. */
export type Wait =
  /** Until every living node holds the settings record. */
  | { readonly k: 'confirm'; readonly id: number; readonly giveUpAt: number; readonly text: string }
  /** Until the role has left `node`; open requests are waited for until `untilMs` (wall clock). */
  | { readonly k: 'drain'; readonly id: number; readonly giveUpAt: number; readonly node: NodeId; readonly untilMs: number }
  /** Until the holder has taken `node` out of the roster; this node itself leaves, or a dead one is forgotten. `askedAt`: monotonic ms. */
  | {
      readonly k: 'remove';
      readonly id: number;
      readonly giveUpAt: number;
      readonly node: NodeId;
      readonly by: string;
      readonly leaving: boolean;
      readonly askedAt: number;
      readonly yielded: boolean;
    }
  /** Until a round sent at or after `since` (monotonic ms) was acknowledged, so that the lease can be handed on. */
  | { readonly k: 'handOn'; readonly id: number; readonly giveUpAt: number; readonly since: number };

/** What this node knows of the wire: MACs that answered for the address, and when. */
export type WireSeen = { readonly macs: readonly string[]; readonly own: string; readonly at: number };

/** One peer's store as it told us, and the question under way. */
export type PeerStore = { readonly inventory: Inventory; readonly epoch: number; readonly boot: number };

/** Everything the core remembers. */
export type CoreState = {
  readonly config: CoreConfig;
  readonly lease: LeaseState;
  readonly leaseDesired: LeaseDesired;
  readonly leaseReason: string;
  readonly membership: MembershipState;
  readonly health: HealthState | null;
  readonly verdict: Verdict;
  readonly hot: HotState;
  readonly wakes: { readonly membership: number; readonly health: number; readonly lease: number };
  readonly stalled: boolean;
  readonly fence: NodeView['fence'];
  readonly address: { readonly present: boolean | null; readonly since: number };
  readonly granted: number;
  /** The address was confirmed off, and has not been asked for since. */
  readonly confirmedOff: boolean;
  readonly wire: WireSeen | null;
  /** While this node holds the address: whose MAC all watchers see instead of ours, and since when. */
  readonly stranger: { readonly mac: string; readonly since: number } | null;
  readonly own: Inventory | null;
  readonly stores: ReadonlyMap<NodeId, PeerStore>;
  /** When each peer was last asked for its inventory, and for which version. */
  readonly asked: ReadonlyMap<NodeId, { readonly version: number; readonly at: number }>;
  readonly plan: ReplicationPlan | null;
  /** What the active itself fetches from its peers; null = nothing. */
  readonly repair: ReplicationPlan | null;
  readonly deletions: DeletionState;
  /** Identifies the inputs the plan was made from. */
  readonly planKey: string;
  readonly load: { readonly loopLagMs: number; readonly load: number };
  readonly holder: Holder;
  readonly pending: readonly PendingCommand[];
  readonly phasesMs: Readonly<Record<string, number>>;
  /** Highest epoch that has its line in the history. */
  readonly recordedEpoch: number;
  /** The last order to give the role up that this node obeyed. */
  readonly lastYield: { readonly heir: NodeId | ''; readonly cause: YieldCause; readonly by: string } | null;
  readonly stopping: boolean;
  /** Since when this node alone seems cut from Redis, monotonic ms; null = it does not. */
  readonly cutSince: number | null;
  /** Why the role stays here although it should move; '' = it need not. */
  readonly stuck: string;
  /** What the role waits for while this node drains; '' = it does not. */
  readonly draining: string;
  /** Connections to the local Ollama while this node drains; null = not counted. */
  readonly open: number | null;
  readonly settings: Settings;
  /** The newest change made here, and the version it got. */
  readonly ownChange: { readonly version: number; readonly change: SettingsChange } | null;
  readonly waits: readonly Wait[];
  /** This node has left the cluster, or is about to. */
  readonly left: boolean;
  /** The roster was left: the membership may be too. */
  readonly free: boolean;
  /** Processes that the holder took out of the roster: not taken in again under this boot. */
  readonly removed: ReadonlyMap<NodeId, number>;
  /** An operator ordered one claim against this node's own judgement. */
  readonly forced: { readonly until: number; readonly by: string } | null;
  /** The newest word of a former holder that names this node its heir. */
  readonly handover: { readonly from: NodeId; readonly epoch: number; readonly at: number; readonly why: HandoverWhy } | null;
  /** The own newest claim. */
  readonly claimed: { readonly epoch: number; readonly at: number; readonly wall: number } | null;
  /** Monotonic ms at which each node lost the role unplanned, oldest first. */
  readonly losses: ReadonlyMap<NodeId, readonly number[]>;
  /** Schedule whose miss is recorded. */
  readonly missed: number;
  /** Why the schedule that is due could not be carried out yet. */
  readonly scheduleWhy: string;
};

/** A step's working copy. */
export type Draft = { -readonly [K in keyof CoreState]: CoreState[K] } & { effects: Effect[] };

/** Adds a log order. */
export function log(
  d: Draft,
  level: 'info' | 'warn' | 'error',
  event: string,
  text: string,
  fields: Record<string, string | number | boolean> = {},
): void {
  d.effects.push({ k: 'log', level, event, text, fields });
}

/** Answers a command. */
export function answer(d: Draft, id: number, outcome: CommandResult['outcome'], text: string, extra: Partial<CommandResult> = {}): void {
  d.effects.push({ k: 'commandResult', id, result: { outcome, text, vetoes: [], epoch: 0, phasesMs: {}, ...extra } });
}
