// Replication's vocabulary: inventories, and the plan that brings a standby level with the active.
import type { NodeId } from '../types.ts';

/** A model's place below manifests/: host/namespace/model/tag, checked against Ollama's name grammar. */
export type ModelPath = string;

/** Hex SHA-256, 64 lower-case digits, without prefix. */
export type Sha256 = string;

/** One blob a manifest names. */
export type BlobRef = { readonly digest: Sha256; readonly sizeBytes: number };

/** One model of one node's store. */
export type StoreModel = {
  readonly path: ModelPath;
  readonly manifestDigest: Sha256;
  readonly manifestBytes: number;
  /** Sum of config and layers. */
  readonly sizeBytes: number;
  /** Every blob present with its size, and its hash verified. */
  readonly complete: boolean;
  readonly missingBytes: number;
  /** Digest of the image.model layer; '' = a stub without weights. */
  readonly weights: Sha256 | '';
};

/** What a node's store holds. `version` changes with every change of `models`. */
export type Inventory = {
  readonly version: number;
  readonly models: readonly StoreModel[];
  /** Set when the store cannot be served: unreadable, or a layout we do not support (manifests-v2). */
  readonly refused: string | null;
  /** Complete, verified young blobs that no manifest names: Ollama downloads a model. Absent = none. */
  readonly loose?: readonly BlobRef[];
};

/** Bring one model here: fetch its manifest from `from`, its missing blobs from any of `sources` (first one first). */
export type FetchModel = {
  readonly path: ModelPath;
  readonly manifestDigest: Sha256;
  readonly from: NodeId;
  readonly sources: readonly NodeId[];
  /** Epoch under which the source acts; a newer one voids the order. */
  readonly epoch: number;
  /** Copied also outside the schedule window. */
  readonly required?: true;
  /** The manifest is here and stays as it is: only blobs that are missing or corrupt are fetched. */
  readonly blobsOnly?: true;
};

/** Bring one blob into the stage, before anybody knows which model it belongs to. */
export type FetchBlobAhead = BlobRef & { readonly sources: readonly NodeId[] };

/** Remove one model here, as the active did. The manifest must still be this one. */
export type RemoveModel = { readonly path: ModelPath; readonly manifestDigest: Sha256; readonly epoch: number };

/** Whether and how fast deletions are followed. */
export type DeletionPolicy = {
  readonly follow: boolean;
  /** From the deletion on the active to the one here, ms. */
  readonly graceMs: number;
  readonly maxPerPass: number;
};

/** A model of the active that is not taken over, and why. */
export type RefusedModel = { readonly path: ModelPath; readonly reason: string };

/** The plan: what to fetch next, and what stays as it is, with the reason. */
export type ReplicationPlan = {
  readonly fetch: readonly FetchModel[];
  /** Same path, different manifest on a complete local model: named, resolved in favour of the active. */
  readonly conflicts: readonly { readonly path: ModelPath; readonly local: Sha256; readonly active: Sha256 }[];
  /** Complete models that only this node has; they stay. */
  readonly extra: readonly ModelPath[];
  /** Models of the active that must not be written here. */
  readonly refused: readonly RefusedModel[];
  /** Set when nothing is planned because one of the two stores is refused; the counts below are then 0 and mean nothing. */
  readonly blocked: string | null;
  readonly bytesBehind: number;
  readonly modelsComplete: number;
  readonly modelsTotal: number;
  /** Blobs of a model that the active still downloads, larger first. Absent = none. */
  readonly ahead?: readonly FetchBlobAhead[];
};

/**
 * Which models take part. `include` and `exclude` are tested against the display name (`minicpm-v:latest`); whoever reads the configuration
 * compiles its globs, so that the core needs no glob library. No `g` or `y` flags. An empty `include` takes nothing.
 */
export type ReplicationPolicy = {
  readonly include: readonly RegExp[];
  readonly exclude: readonly RegExp[];
  /** Names as people write them. Always taken, and first. */
  readonly required: readonly string[];
  /** Every model is taken, so a blob may come before its model has a name. */
  readonly ahead?: boolean;
};
