// What the replicator needs of the store and of the transfer, no more. The drivers' own types satisfy these.
import type { BlobRef, Inventory, ModelPath, Sha256 } from '../core/replication/types.ts';
import type { NodeId } from '../core/types.ts';

/** A manifest as far as the replicator reads it; `fault` = not usable, in words. */
export type ReadManifest = { readonly digest: Sha256; readonly blobs: readonly BlobRef[] } | { readonly fault: string };

/** The store, seen from the replicator. */
export type ReplicatorStore = {
  /** Called at once, then on every change. */
  readonly onInventory: (listener: (inventory: Inventory) => void) => void;
  readonly parseManifest: (bytes: Uint8Array) => ReadManifest;
  /** Of a blob under its final name; hashes it when its hash is not known. */
  readonly verify: (ref: BlobRef) => Promise<'verified' | 'absent' | 'corrupt'>;
  /** Bytes that may be written, the reserve kept. */
  readonly freeBytes: () => Promise<number>;
  /** Gives up blobs held for no model, but those in `keep`, then kept models, oldest first; false = nothing (more) to give up. */
  readonly makeRoom?: (freeBytes: number, keep: ReadonlySet<Sha256>) => Promise<boolean>;
  /** File to receive a blob into, what is in it from an earlier attempt, and its file key if it is held. */
  readonly stage: (
    digest: Sha256,
    sizeBytes?: number,
  ) => Promise<{ readonly file: string; readonly presentBytes: number; readonly heldKey: string | null }>;
  /** Keeps a verified part in the stage: no model names it yet. */
  readonly holdBlob: (ref: BlobRef, key: string) => Promise<void>;
  readonly publishBlob: (ref: BlobRef, key: string) => Promise<void>;
  /** Resolves after the inventory shows the model. */
  readonly publishModel: (order: {
    readonly path: ModelPath;
    readonly digest: Sha256;
    readonly bytes: Uint8Array;
  }) => Promise<
    | { readonly k: 'published' }
    | { readonly k: 'incomplete'; readonly missing: readonly BlobRef[] }
    | { readonly k: 'refused'; readonly reason: string }
  >;
};

/** The store, seen from the remover. */
export type RemoverStore = {
  readonly removeModel: (
    path: ModelPath,
    digest: Sha256,
  ) => Promise<
    | { readonly k: 'removed'; readonly id: string; readonly blobs: number }
    | { readonly k: 'absent' }
    | { readonly k: 'refused'; readonly reason: string }
  >;
};

/** How one fetch ended. `key` names the verified part for publishBlob. */
export type BlobOutcome = { readonly blamed: readonly { readonly node: NodeId; readonly reason: string; readonly corrupt: boolean }[] } & (
  | { readonly k: 'done'; readonly key: string; readonly receivedBytes: number }
  | { readonly k: 'failed'; readonly cause: 'sources' | 'disk' | 'full' | 'aborted'; readonly reason: string }
);

/** Fetches one blob into a file and verifies it. Never rejects. */
export type FetchBlob = (order: {
  readonly digest: Sha256;
  readonly sizeBytes: number;
  readonly file: string;
  readonly sources: readonly NodeId[];
  readonly progress: (progress: {
    readonly doneBytes: number;
    readonly phase: 'verify' | 'receive' | 'flush';
    readonly from: NodeId | '';
  }) => void;
  readonly signal: AbortSignal;
}) => Promise<BlobOutcome>;

/** The bytes of a manifest from a peer, or a rejection. */
export type FetchManifest = (from: NodeId, path: ModelPath, digest: Sha256, signal: AbortSignal) => Promise<Uint8Array>;

/** Takes a log line. */
export type ReplicatorLog = (
  level: 'info' | 'warn' | 'error',
  event: string,
  text: string,
  fields: Readonly<Record<string, string | number | boolean>>,
) => void;

/** Waits; rejects when the signal aborts. */
export type Pause = (ms: number, signal: AbortSignal) => Promise<void>;
