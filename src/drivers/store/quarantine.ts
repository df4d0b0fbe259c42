// What was taken out of the live store and is kept for a while: `.agent-quarantine/ID/` on the store's file system, each entry with an index
// (entry.json), the manifest as it was, and the blobs that nothing else needed. Ollama never looks there.
import { constants } from 'node:fs';
import { link, lstat, mkdir, readdir, rename, rm, statfs, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { blobName, isModelPath, isSha256, sha256OfBlobName } from '../../core/replication/names.ts';
import type { BlobRef, ModelPath, Sha256 } from '../../core/replication/types.ts';
import { codeOf, makeDirectories, type Owner, openRegular, syncDirectory, writeDurably } from './durable.ts';
import { BLOB_BYTES_MAX, blobFile, FILE_MODE, LAYERS_MAX, MANIFEST_BYTES_MAX, quarantineDir } from './layout.ts';

/** Why something is kept: its model was deleted on the active, another manifest took its name, or its content was not what its name says. */
export type QuarantineKind = 'deleted' | 'replaced' | 'corrupt';

/** One entry. `path` and `manifestDigest` are '' for a corrupt blob. */
export type QuarantineEntry = {
  readonly id: string;
  readonly kind: QuarantineKind;
  readonly path: ModelPath | '';
  readonly manifestDigest: Sha256 | '';
  /** Wall clock, ms. */
  readonly atMs: number;
  readonly blobs: readonly BlobRef[];
  /** Bytes of the blobs that lie in the entry; others are still in the live store, or in another entry. */
  readonly heldBytes: number;
};

const ID = /^\d{13,15}-(?:deleted|replaced|corrupt)-[0-9a-f]{12}-\d{1,6}$/;
const ENTRIES_MAX = 10_000;
const INDEX_BYTES_MAX = 8 * 1024 * 1024;

/** File names inside an entry. */
const INDEX = 'entry.json';
const MANIFEST = 'manifest.json';

/** The entries of one store. Functions throw what the file system throws. */
export type Quarantine = {
  /** Newest first. What is not a sound entry is left out. */
  readonly entries: () => Promise<readonly QuarantineEntry[]>;
  readonly create: (entry: Pick<QuarantineEntry, 'kind' | 'path' | 'manifestDigest' | 'blobs'>, digest: Sha256) => Promise<string>;
  readonly manifestFile: (id: string) => string;
  readonly readManifest: (id: string) => Promise<Uint8Array | null>;
  /** Moves a live blob into the entry; false when it is not there. */
  readonly takeBlob: (id: string, digest: Sha256) => Promise<boolean>;
  /** Keeps the file that has this name now, beside what will take its place. */
  readonly linkBlob: (id: string, digest: Sha256) => Promise<void>;
  /** Puts a kept blob under its live name, from whatever entry has it; false when none has. The caller verifies it. */
  readonly giveBlob: (ref: BlobRef) => Promise<boolean>;
  readonly drop: (id: string) => Promise<void>;
  readonly sync: (id: string) => Promise<void>;
};

/** `owner` makes sure that the store can be written and tells whose it is; `wallMs` is the wall clock. */
export function openQuarantine(root: string, owner: () => Promise<Owner>, wallMs: () => number): Quarantine {
  const top = quarantineDir(root);
  let serial = 0;
  const dirOf = (id: string): string => {
    if (!ID.test(id)) throw new Error('not the id of a quarantined model');
    return join(top, id);
  };

  const entries = async (): Promise<readonly QuarantineEntry[]> => {
    const names = (await readdir(top).catch(() => [])).filter((name) => ID.test(name)).sort();
    const found = await Promise.all(names.slice(-ENTRIES_MAX).map((id) => readEntry(top, id)));
    return found.filter((entry) => entry !== null).reverse();
  };

  const blobIn = async (ref: BlobRef): Promise<string | null> => {
    for (const { id, kind } of await entries()) {
      if (kind === 'corrupt') continue;
      const file = join(top, id, blobName(ref.digest));
      const stat = await lstat(file).catch(() => null);
      if (stat?.isFile() === true && stat.size === ref.sizeBytes) return file;
    }
    return null;
  };

  return {
    entries,
    create: async (entry, digest) => {
      const whose = await owner();
      await makeDirectories(root, top, whose);
      serial = (serial + 1) % 1_000_000;
      const id = `${wallMs()}-${entry.kind}-${digest.slice(0, 12)}-${serial}`;
      const dir = dirOf(id);
      await mkdir(dir, { mode: 0o700 });
      const text = JSON.stringify({ version: 1, atMs: wallMs(), ...entry });
      await writeDurably(join(dir, INDEX), Buffer.from(text), FILE_MODE, whose);
      await syncDirectory(dir);
      await syncDirectory(top);
      return id;
    },
    manifestFile: (id) => join(dirOf(id), MANIFEST),
    readManifest: async (id) => readWhole(join(dirOf(id), MANIFEST), MANIFEST_BYTES_MAX),
    takeBlob: async (id, digest) => {
      try {
        await rename(blobFile(root, digest), join(dirOf(id), blobName(digest)));
        return true;
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return false;
        throw error;
      }
    },
    linkBlob: (id, digest) => link(blobFile(root, digest), join(dirOf(id), blobName(digest))),
    giveBlob: async (ref) => {
      const kept = await blobIn(ref);
      if (kept === null) return false;
      // Ollama's start-up prune spares blobs without a manifest for an hour, counted from the file's time.
      const now = new Date(wallMs());
      await utimes(kept, now, now);
      await link(kept, blobFile(root, ref.digest)).catch((error: unknown) => {
        if (codeOf(error) !== 'EEXIST') throw error;
      });
      return true;
    },
    drop: async (id) => {
      const dir = dirOf(id);
      if ((await lstat(dir).catch(() => null))?.isDirectory() === true) await rm(dir, { recursive: true, force: true });
    },
    sync: async (id) => {
      await syncDirectory(dirOf(id));
    },
  };
}

/** Drops the entries older than `maxAgeMs`, and the oldest ones while `short` says that the disk is. Returns what went. */
export async function emptyQuarantine(
  quarantine: Quarantine,
  args: { readonly nowMs: number; readonly maxAgeMs: number; readonly short: () => Promise<boolean> },
): Promise<readonly QuarantineEntry[]> {
  const gone: QuarantineEntry[] = [];
  for (const entry of (await quarantine.entries()).toReversed()) {
    // A clock that was set back must not keep an entry for ever, one set forward is why the disk decides as well.
    const ageMs = Math.abs(args.nowMs - entry.atMs);
    if (ageMs <= args.maxAgeMs && !(await args.short())) continue;
    await quarantine.drop(entry.id);
    gone.push(entry);
  }
  return gone;
}

/** Bytes that may still be written, `reserveBytes` kept; can be negative. */
export async function freeBytesOf(root: string, reserveBytes: number): Promise<number> {
  const { bavail, bsize } = await statfs(root);
  return bavail * bsize - reserveBytes;
}

async function readEntry(top: string, id: string): Promise<QuarantineEntry | null> {
  const bytes = await readWhole(join(top, id, INDEX), INDEX_BYTES_MAX);
  const index = bytes === null ? null : indexOf(bytes);
  if (index === null) return null;
  let heldBytes = 0;
  for (const name of await readdir(join(top, id)).catch(() => [])) {
    if (sha256OfBlobName(name) !== null) heldBytes += (await lstat(join(top, id, name)).catch(() => null))?.size ?? 0;
  }
  return { id, ...index, heldBytes };
}

function indexOf(bytes: Uint8Array): Omit<QuarantineEntry, 'id' | 'heldBytes'> | null {
  try {
    const json = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>;
    const { version, kind, path, manifestDigest, atMs, blobs } = json;
    if (version !== 1 || typeof atMs !== 'number' || typeof path !== 'string' || typeof manifestDigest !== 'string') return null;
    if (kind !== 'deleted' && kind !== 'replaced' && kind !== 'corrupt') return null;
    if (!Array.isArray(blobs) || blobs.length > LAYERS_MAX || !blobs.every(isBlobRef)) return null;
    const named = isModelPath(path) && isSha256(manifestDigest);
    return named || (kind === 'corrupt' && path === '') ? { kind, path, manifestDigest, atMs, blobs } : null;
  } catch {
    return null;
  }
}

function isBlobRef(value: unknown): value is BlobRef {
  if (typeof value !== 'object' || value === null || !('digest' in value) || !('sizeBytes' in value)) return false;
  const { digest, sizeBytes } = value;
  if (typeof digest !== 'string' || typeof sizeBytes !== 'number') return false;
  return isSha256(digest) && Number.isSafeInteger(sizeBytes) && sizeBytes >= 0 && sizeBytes <= BLOB_BYTES_MAX;
}

async function readWhole(file: string, bytesMax: number): Promise<Uint8Array | null> {
  try {
    const handle = await openRegular(file, constants.O_RDONLY);
    try {
      return (await handle.stat()).size > bytesMax ? null : await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch {
    return null;
  }
}
