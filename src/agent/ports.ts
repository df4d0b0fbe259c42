// What the loop needs of the world, each as small as its consumer. Drivers implement these; results come back through `Sink`.
import type { CareWant, Effect, Input, PeerMessage, VipWant } from '../core/io.ts';
import type { Roster, ScriptCall } from '../core/lease/types.ts';
import type { MemberUpdate } from '../core/membership/types.ts';
import type { Inventory, ModelPath, RemoveModel, ReplicationPlan, Sha256 } from '../core/replication/types.ts';
import type { Settings } from '../core/settings/types.ts';
import type { CoreState } from '../core/state.ts';
import type { NodeId, Now } from '../core/types.ts';

/** Takes a fact for the next turn. Never throws, never blocks. */
export type Sink = (input: Input) => void;

/** Runs lease scripts on the Redis servers. Every call is answered through the sink by exactly one `reply` or `fail`. */
export interface ScriptsPort {
  run(server: number, op: number, call: ScriptCall): void;
  /** What status shows of each server, in the order of the configuration. */
  view(): readonly RedisView[];
  close(): Promise<void>;
}

/** One Redis server as the driver sees it. */
export type RedisView = {
  readonly server: string;
  readonly runId: string;
  readonly up: boolean;
  /** EWMA over replies, ms; 0 before the first. */
  readonly latencyMs: number;
  /** Percentiles over the newest replies (256 at most), ms; 0 before the first. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly lastError: string;
  /** Monotonic ms of the last reply; -Infinity = none. */
  readonly lastReplyAt: number;
};

/** The wire between agents. Sends are fire and forget; facts arrive through the sink. */
export interface PeersPort {
  /** Drops heartbeats instead of queueing them when the stream is congested; other messages are queued, bounded. */
  send(to: NodeId, msg: PeerMessage): void;
  /** Make sure a connection to this peer exists, or is being tried. */
  dial(peer: NodeId, address: string): void;
  pushPull(to: NodeId, members: readonly MemberUpdate[]): void;
  indirectProbe(via: NodeId, target: NodeId): void;
  directProbe(target: NodeId): void;
  fetchInventory(from: NodeId, version: number): void;
  /** The manifest's bytes, or an error. For the replicator, not for the core. */
  fetchManifest(from: NodeId, path: ModelPath, digest: Sha256, signal: AbortSignal): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** What other nodes may ask of this one; answered from memory and disk, never by the core. */
export interface PeerAnswers {
  members(): readonly MemberUpdate[];
  inventory(): { readonly inventory: Inventory; readonly epoch: number; readonly boot: number };
  manifest(path: ModelPath, digest: Sha256): Promise<Uint8Array | null>;
  /** A fresh TCP probe of a third node on behalf of a peer. */
  probe(target: NodeId, signal: AbortSignal): Promise<boolean>;
}

/** The address and its fence, as an actuator. Level triggered: the newest want wins, work is serialised inside. */
export interface VipPort {
  /** Called on every turn; must be cheap when nothing changed. Facts: fence, ended, granted, address, wire. */
  apply(want: VipWant): void;
  close(): Promise<void>;
}

/** Brings the store level with the plan, and keeps the own inventory current (facts: inventory). */
export interface ReplicatorPort {
  /** `remove`: models that shall not be here any more. */
  apply(plan: ReplicationPlan | null, remove?: readonly RemoveModel[]): void;
  progress(): readonly TransferProgress[];
  close(): Promise<void>;
}

/** One model on its way. */
export type TransferProgress = {
  readonly path: ModelPath;
  readonly from: NodeId;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  readonly phase: 'manifest' | 'blobs' | 'verify' | 'publish' | 'waiting';
  readonly note: string;
};

/** Removes models as the active did; level triggered, an order that is no longer given ends before its rename. */
export interface RemoverPort {
  apply(orders: readonly RemoveModel[]): void;
  close(): Promise<void>;
}

/** A model that the local Ollama has loaded. `keepAliveMs`: what is left of its time; null = for ever. `contextLength` null = not told. */
export type LoadedHere = {
  readonly name: string;
  /** Manifest digest, bare hex. */
  readonly digest: Sha256;
  readonly contextLength: number | null;
  readonly keepAliveMs: number | null;
};

/** What a replicator asks of the local Ollama. Nothing here throws. */
export interface LoadedPort {
  /** Null: it did not answer. */
  loaded(signal: AbortSignal): Promise<readonly LoadedHere[] | null>;
  /** True once the model is out of memory; its running requests end first. */
  unload(name: string, signal: AbortSignal): Promise<boolean>;
  /** Loads the model of this name with the context and the remaining time of `was`; true when it is loaded. */
  preload(was: LoadedHere, signal: AbortSignal): Promise<boolean>;
}

/** Probes the local Ollama on its own cadence and reports evidence through the sink. */
export interface OllamaPort {
  close(): Promise<void>;
}

/** Asks, loads and mends in the local Ollama as the core wants. Level triggered by numbers; the ends come back as evidence. */
export interface CarePort {
  /** Called on every turn; cheap when nothing is new. */
  apply(want: CareWant): void;
  close(): Promise<void>;
}

/** A balancer on this host. Told the newest state on every turn. */
export interface BalancerPort {
  /** Cheap when nothing changed. */
  apply(state: CoreState, now: Now): void;
  view(): NginxView;
  close(): Promise<void>;
}

/** Counts open connections of users. Told on every turn whether this node drains. */
export interface DrainPort {
  /** Cheap when nothing changed. */
  apply(draining: boolean): void;
  close(): void;
}

/** How the upstream file fares. `problem` '' = nginx runs with the newest list. */
export type NginxView = { readonly problem: string; readonly reloads: number; readonly servers: number };

/** Durable little facts: the highest epoch, settings and roster, the history. */
export interface StatePort {
  persistEpoch(epoch: number): void;
  persistSettings(settings: Settings): void;
  persistRoster(roster: Roster): void;
  /** Leaves whom to release for the stop hook; written before the claim is sent. */
  writeClaim(epoch: number): void;
  appendHistory(entry: Extract<Effect, { k: 'history' }>['entry']): void;
}

/** What outlives every agent in Redis beside the lease: the settings record and the ring of history. Best effort; nothing waits for it. */
export interface RecordsPort {
  /** The record this node holds now. `publish`: write it; otherwise it is only put back where a server lost it. */
  settings(settings: Settings, publish: boolean): void;
  history(entry: Extract<Effect, { k: 'history' }>['entry']): void;
}
