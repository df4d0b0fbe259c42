// What the composition must know before the first turn. Made from the configuration file by the composition root.
import type { HealthConfig } from './health/types.ts';
import type { LeaseConfig } from './lease/types.ts';
import type { ReplicationPolicy } from './replication/types.ts';
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
  readonly heartbeatMs: number;
  readonly stallMs: number;
  /** What guards the address: no VIP here, or a VIP with this demand on its fence. */
  readonly vip: 'none' | 'fence-required' | 'fence-preferred';
  readonly replication: ReplicationPolicy;
  /** Feeds every random choice of the core. */
  readonly seed: number;
  /** Highest epoch ever persisted by this node; 0 = none. */
  readonly epochOnDisk: number;
};
