// What the composition must know before the first turn. Made from the configuration file by the composition root.
import type { HealthConfig } from './health/types.ts';
import type { HotSetConfig } from './hotset/types.ts';
import type { HandOn } from './lease/handon.ts';
import type { LeaseConfig, Roster } from './lease/types.ts';
import type { DeletionPolicy, ReplicationPolicy } from './replication/types.ts';
import type { Settings } from './settings/types.ts';
import type { Identity, NodeId } from './types.ts';

/** Static facts of this node and its cluster. */
export type CoreConfig = {
  readonly self: Identity;
  readonly cluster: string;
  /** host:port of the own peer listener. */
  readonly address: string;
  /** Version of the program, for status. */
  readonly version: string;
  /** An `ollama:` section stands in the configuration: the node may become active. */
  readonly candidate: boolean;
  readonly priority: number;
  readonly nofailover: boolean;
  /** Nodes that may ever claim; the roster of the very first claim. */
  readonly roster: readonly NodeId[];
  /** Peers to dial at start, self excluded. */
  readonly peers: readonly { readonly node: NodeId; readonly address: string }[];
  readonly lease: LeaseConfig;
  /** Null: no `ollama:` section. */
  readonly health: HealthConfig | null;
  /** What this node keeps loaded; absent = nothing. */
  readonly hotSet?: HotSetConfig;
  readonly heartbeatMs: number;
  readonly stallMs: number;
  /** What guards the address: no VIP here, or a VIP with this demand on its fence. */
  readonly vip: 'none' | 'fence-required' | 'fence-preferred';
  readonly replication: ReplicationPolicy;
  /** Whether deletions of the active are followed; without it never. */
  readonly deletion?: DeletionPolicy;
  /** Feeds every random choice of the core. */
  readonly seed: number;
  /** Highest epoch ever persisted by this node; 0 = none. */
  readonly epochOnDisk: number;
  /** What else earlier processes of this node left on disk. */
  readonly saved?: SavedState;
  /** The lease that the process before this one handed on; null or absent = it did not. */
  readonly handOn?: HandOn | null;
};

/** Facts that outlive a process of this node. */
export type SavedState = {
  readonly settings: Settings;
  /** Null = no record ever named a roster. */
  readonly roster: Roster | null;
  /** Highest epoch that has its line in the history on disk. */
  readonly historyEpoch: number;
  /** Who lost the role unplanned lately, and how long ago. */
  readonly losses: readonly { readonly node: NodeId; readonly agoMs: number }[];
};
