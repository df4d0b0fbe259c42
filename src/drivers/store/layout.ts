// Where things lie in an Ollama store, and how much of it we are willing to look at. Every path below is built from checked names.
import { lstatSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { blobName, isModelPath } from '../../core/replication/names.ts';
import type { ModelPath, Sha256 } from '../../core/replication/types.ts';

/** A manifest larger than this is no manifest. */
export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
/** Tensor models have thousands of layers. */
export const LAYERS_MAX = 20_000;
/** Models in one store; more is refused, not truncated. */
export const MODELS_MAX = 10_000;
/** Ollama's own limit on a blob is its disk; this one keeps sums exact. */
export const BLOB_BYTES_MAX = 16 * 1024 ** 4;

/** Files of a store are world-readable, as Ollama's. */
export const FILE_MODE = 0o644;
/** Directories of a store, as Ollama's. */
export const DIRECTORY_MODE = 0o755;

/** The blobs' directory. */
export function blobsDir(root: string): string {
  return join(root, 'blobs');
}

/** The root of the manifests' tree. */
export function manifestsDir(root: string): string {
  return join(root, 'manifests');
}

/** Half-received blobs and manifests not yet published: on the store's file system, where Ollama never looks. */
export function stageDir(root: string): string {
  return join(root, '.agent-stage');
}

/** Models and blobs taken out of the live store, kept for a while. */
export function quarantineDir(root: string): string {
  return join(root, '.agent-quarantine');
}

/** A finished blob. Throws on a malformed digest. */
export function blobFile(root: string, digest: Sha256): string {
  return join(blobsDir(root), blobName(digest));
}

/** A blob on its way. Throws on a malformed digest. */
export function partFile(root: string, digest: Sha256): string {
  return join(stageDir(root), `${blobName(digest)}.part`);
}

/** Says that a blob on its way is whole and verified. Throws on a malformed digest. */
export function heldFile(root: string, digest: Sha256): string {
  return join(stageDir(root), `${blobName(digest)}.held`);
}

/** A model's manifest. Throws on a path that Ollama's grammar does not allow. */
export function manifestFile(root: string, path: ModelPath): string {
  if (!isModelPath(path)) throw new Error('a model path has four parts under the name grammar of Ollama');
  return join(manifestsDir(root), path);
}

/** Why this store is left alone, or null. Links are refused: what they point to need not be on the stage's file system, or in the store. */
export function refusalOf(root: string): string | null {
  try {
    return refusal(root);
  } catch (error) {
    return `${root} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function refusal(root: string): string | null {
  const store = statSync(root, { throwIfNoEntry: false });
  if (store === undefined) return `${root} is not there; set ollama.store to Ollama's models directory`;
  if (!store.isDirectory()) return `${root} is not a directory; set ollama.store to Ollama's models directory`;
  if (kindOf(join(root, 'manifests-v2')) !== 'absent') {
    return 'it has a manifests-v2 directory, a layout of newer Ollama versions that this version does not copy';
  }
  for (const dir of [blobsDir(root), manifestsDir(root)]) {
    const kind = kindOf(dir);
    if (kind !== 'directory' && kind !== 'absent')
      return `${dir} is not a plain directory; put the store itself there and name it in ollama.store`;
  }
  return null;
}

function kindOf(path: string): 'directory' | 'absent' | 'other' {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return 'absent';
  return stat.isDirectory() ? 'directory' : 'other';
}
