// What the bench asks of a node's process, and what comes back.
import type { FetchModel, Inventory, ReplicationPlan } from '../../../src/core/replication/types.ts';
import type { BlobAddress, TlsMaterial } from '../../../src/drivers/transfer/messages.ts';

/** How bytes travel, and whether they are flushed. */
export type Mode = { readonly plain: boolean; readonly sync: boolean };

/** A node: who it is, what it serves, whom it knows. */
export type NodeOrder = {
  readonly k: 'node';
  readonly tls: TlsMaterial;
  readonly listen: BlobAddress | null;
  readonly root: string;
  readonly peers: readonly (readonly [string, BlobAddress])[];
  readonly mode: Mode;
};

/** Asked of a process. */
export type Order =
  | NodeOrder
  | { readonly k: 'offer'; readonly digest: string }
  /** Asks for what nobody has, so that threads and connections are there, as in an agent that runs. */
  | { readonly k: 'warm'; readonly file: string; readonly sources: readonly string[] }
  | { readonly k: 'fetch'; readonly digest: string; readonly sizeBytes: number; readonly file: string; readonly sources: readonly string[] }
  /** Opens the node's store and serves it; answers with the inventory once it is complete. */
  | { readonly k: 'store'; readonly models: number }
  /** Brings one model into the store. */
  | { readonly k: 'model'; readonly plan: ReplicationPlan; readonly order: FetchModel; readonly manifest: string }
  | { readonly k: 'scrub'; readonly file: string }
  | { readonly k: 'limits'; readonly from: string; readonly to: string }
  | { readonly k: 'pour'; readonly address: BlobAddress; readonly bytes: number }
  | { readonly k: 'drink'; readonly address: BlobAddress }
  | { readonly k: 'cpu' };

/** What one fetch cost. */
export type Fetched = {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly loopDelayP99Ms: number;
  readonly rssMiB: number;
};

/** Answers, by order. */
export type Answers = {
  readonly node: null;
  readonly offer: null;
  readonly warm: null;
  readonly fetch: Fetched;
  readonly store: Inventory;
  readonly model: Fetched;
  readonly scrub: number;
  readonly limits: { readonly hashMiBs: number; readonly copyMiBs: number; readonly copySyncMiBs: number };
  readonly pour: null;
  readonly drink: number;
  readonly cpu: number;
};
