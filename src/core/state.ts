// The composed state: one part for each machine, plus the facts that belong to none of them.
import type { CoreConfig } from './config.ts';
import type { HealthState } from './health/machine.ts';
import type { Verdict } from './health/types.ts';
import type { CommandResult, Effect } from './io.ts';
import type { LeaseState } from './lease/state.ts';
import type { LeaseDesired, YieldCause } from './lease/types.ts';
import type { MembershipState } from './membership/machine.ts';
import type { NodeView } from './membership/types.ts';
import type { Inventory, ReplicationPlan } from './replication/types.ts';
import type { NodeId } from './types.ts';

/** The holder as the newest first-hand or Redis evidence names it. */
export type Holder = { readonly node: NodeId | ''; readonly epoch: number; readonly cause: string; readonly from: NodeId | '' };

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
};

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
  readonly wakes: { readonly membership: number; readonly health: number; readonly lease: number };
  readonly stalled: boolean;
  readonly fence: NodeView['fence'];
  readonly address: { readonly present: boolean | null; readonly since: number };
  readonly granted: number;
  /** The address was confirmed off, and has not been asked for since. */
  readonly confirmedOff: boolean;
  readonly wire: WireSeen | null;
  readonly own: Inventory | null;
  readonly stores: ReadonlyMap<NodeId, PeerStore>;
  /** When each peer was last asked for its inventory, and for which version. */
  readonly asked: ReadonlyMap<NodeId, { readonly version: number; readonly at: number }>;
  readonly plan: ReplicationPlan | null;
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
  /** Why the role stays here although it should move; '' = it need not. */
  readonly stuck: string;
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
