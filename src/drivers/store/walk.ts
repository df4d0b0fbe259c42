// One look over a store, by the store's thread: which manifests are there and what they say. Synchronous on purpose: the thread has nothing
// else to do meanwhile, and twenty thousand small calls cost a tenth of what their promises would.
import { closeSync, constants, type Dirent, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { fileKeyOf, isModelPath } from '../../core/replication/names.ts';
import type { ModelPath } from '../../core/replication/types.ts';
import { MANIFEST_BYTES_MAX, MODELS_MAX, manifestsDir } from './layout.ts';
import { type Manifest, type ManifestFault, parseManifest, sha256 } from './manifest.ts';

/** A manifest found on disk. `parsed` is remembered by `key` over scans. */
export type FoundManifest = {
  readonly path: ModelPath;
  readonly key: string;
  readonly digest: string;
  readonly manifestBytes: number;
  readonly parsed: Manifest | ManifestFault;
};

/** Result of a walk: manifests by path, or why the store is refused. */
export type Walk = { readonly manifests: ReadonlyMap<ModelPath, FoundManifest>; readonly refused: string | null };

const SETTLE_MS = 10;
const SETTLE_ROUNDS = 5;
/** A manifest younger than this may still be being written. */
const FRESH_MS = 1000;

/**
 * Walks manifests/ to depth 4. `visit` is told each directory before it is read, so that a watch armed there misses nothing. Ollama writes
 * manifests in place, truncated first: young ones are read again until two readings agree.
 */
export function walkManifests(
  root: string,
  known: ReadonlyMap<ModelPath, FoundManifest>,
  visit: (dir: string) => void,
  wallMs: () => number,
): Walk {
  const paths = listPaths(manifestsDir(root), visit);
  if (paths.length > MODELS_MAX) return { manifests: new Map(), refused: `more than ${MODELS_MAX} models` };
  const found = new Map<ModelPath, FoundManifest>();
  let unsettled: ModelPath[] = [];
  for (const path of paths) {
    const read = readFound(root, path, known.get(path));
    if (read === null) continue;
    found.set(path, read.found);
    if (read.fresh(wallMs())) unsettled.push(path);
  }
  for (let round = 0; unsettled.length > 0 && round < SETTLE_ROUNDS; round += 1) {
    pause(SETTLE_MS);
    unsettled = unsettled.filter((path) => !settled(root, path, found));
  }
  return { manifests: found, refused: null };
}

/** Reads again; true when nothing changed since. Keeps the newest reading. */
function settled(root: string, path: ModelPath, found: Map<ModelPath, FoundManifest>): boolean {
  const before = found.get(path);
  const again = readFound(root, path, undefined);
  if (again === null) {
    found.delete(path);
    return true;
  }
  found.set(path, again.found);
  return again.found.digest === before?.digest && !('fault' in again.found.parsed);
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function readFound(
  root: string,
  path: ModelPath,
  known: FoundManifest | undefined,
): { readonly found: FoundManifest; readonly fresh: (nowMs: number) => boolean } | null {
  const file = join(manifestsDir(root), path);
  const reading = readStable(file, known?.key);
  if (reading === null) return null;
  const fresh = (nowMs: number) => reading.mtimeMs > nowMs - FRESH_MS;
  if (reading.bytes === null) return known === undefined ? null : { found: known, fresh: () => false };
  const parsed = parseManifest(reading.bytes);
  const digest = sha256(reading.bytes);
  return { found: { path, key: reading.key, digest, manifestBytes: reading.bytes.length, parsed }, fresh };
}

/** The bytes of a regular file that kept still while it was read; `bytes` null = unchanged since `knownKey`; null = not there. */
function readStable(file: string, knownKey: string | undefined): { bytes: Uint8Array | null; key: string; mtimeMs: number } | null {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    const stat = fstatSync(fd, { bigint: true });
    if (!stat.isFile()) return null;
    const key = fileKeyOf(stat);
    const mtimeMs = Number(stat.mtimeMs);
    if (key === knownKey) return { bytes: null, key, mtimeMs };
    return { bytes: readUpTo(fd, MANIFEST_BYTES_MAX + 1), key: fileKeyOf(fstatSync(fd, { bigint: true })), mtimeMs };
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}

function readUpTo(fd: number, bytesMax: number): Uint8Array {
  const size = Math.min(Number(fstatSync(fd).size), bytesMax);
  const bytes = Buffer.allocUnsafe(size);
  let filled = 0;
  while (filled < size) {
    const n = readSync(fd, bytes, filled, size - filled, filled);
    if (n === 0) break;
    filled += n;
  }
  return bytes.subarray(0, filled);
}

/** Sorted paths of depth 4 whose four names the grammar allows. Links and stray files are left alone: nothing outside the store is read. */
function listPaths(root: string, visit: (dir: string) => void): readonly ModelPath[] {
  const paths: ModelPath[] = [];
  const descend = (dir: string, parts: readonly string[]): void => {
    for (const entry of entriesOf(dir, visit)) {
      if (paths.length > MODELS_MAX) return;
      const next = [...parts, entry.name];
      if (next.length < 4 && entry.isDirectory()) descend(join(dir, entry.name), next);
      if (next.length === 4 && entry.isFile() && isModelPath(next.join('/'))) paths.push(next.join('/'));
    }
  };
  descend(root, []);
  return paths.sort();
}

function entriesOf(dir: string, visit: (dir: string) => void): readonly Dirent[] {
  visit(dir);
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch {
    return [];
  }
}
