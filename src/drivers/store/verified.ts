// What this agent has hashed: digest -> the file it saw, and whether the hash matched. A blob counts only while its file is still that one.
// Kept on disk so that a restart does not read terabytes again.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { isSha256 } from '../../core/replication/names.ts';
import type { Sha256 } from '../../core/replication/types.ts';

/** One hashed file. */
export type Hashed = { readonly key: string; readonly good: boolean };

/** The memory of one store. */
export type Verified = {
  readonly get: (digest: Sha256) => Hashed | undefined;
  readonly set: (digest: Sha256, hashed: Hashed) => void;
  /** Forgets every digest for which `keep` is false. */
  readonly prune: (keep: (digest: Sha256) => boolean) => void;
  readonly digests: () => Iterable<Sha256>;
  /** Writes to disk when something changed. Throws what the file system throws. */
  readonly save: () => void;
};

const ENTRIES_MAX = 200_000;
const FILE_BYTES_MAX = 64 * 1024 * 1024;
const KEY = /^\d{1,20}:\d{1,20}:-?\d{1,20}:-?\d{1,20}$/;

/** Opens the memory in `file`. A file that is missing, too large or damaged is an empty memory: everything is hashed again. */
export function openVerified(file: string): Verified {
  const entries = load(file);
  let dirty = false;
  return {
    get: (digest) => entries.get(digest),
    set: (digest, hashed) => {
      if (entries.size >= ENTRIES_MAX && !entries.has(digest)) return;
      entries.set(digest, hashed);
      dirty = true;
    },
    prune: (keep) => {
      for (const digest of [...entries.keys()]) {
        if (!keep(digest)) dirty = entries.delete(digest) || dirty;
      }
    },
    digests: () => entries.keys(),
    save: () => {
      if (!dirty) return;
      writeWhole(file, JSON.stringify({ version: 1, blobs: [...entries].map(([digest, { key, good }]) => [digest, key, good]) }));
      dirty = false;
    },
  };
}

function load(file: string): Map<Sha256, Hashed> {
  const entries = new Map<Sha256, Hashed>();
  for (const row of rowsOf(file)) {
    if (!Array.isArray(row) || entries.size >= ENTRIES_MAX) continue;
    const [digest, key, good]: readonly unknown[] = row;
    if (typeof digest !== 'string' || typeof key !== 'string' || typeof good !== 'boolean') continue;
    if (isSha256(digest) && KEY.test(key)) entries.set(digest, { key, good });
  }
  return entries;
}

function rowsOf(file: string): readonly unknown[] {
  try {
    if (statSync(file).size > FILE_BYTES_MAX) return [];
    const json: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const known = typeof json === 'object' && json !== null && 'version' in json && json.version === 1 && 'blobs' in json;
    return known && Array.isArray(json.blobs) ? json.blobs : [];
  } catch {
    return [];
  }
}

function writeWhole(file: string, text: string): void {
  const fd = openSync(`${file}.new`, 'w', 0o600);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${file}.new`, file);
}
