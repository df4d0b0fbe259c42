// The store's state as its thread knows it: the last walk, the hashes, and from the two the inventory and what still needs a hash.
import { lstatSync, readdirSync } from 'node:fs';
import { blobName, fileKeyOf, sha256OfBlobName } from '../../core/replication/names.ts';
import type { BlobRef, Inventory, ModelPath, Sha256, StoreModel } from '../../core/replication/types.ts';
import { blobsDir, refusalOf } from './layout.ts';
import type { BlobVerdict, NamedBlobs, VerifiedChange } from './messages.ts';
import type { Verified } from './verified.ts';
import { type FoundManifest, walkManifests } from './walk.ts';

/** A blob file on disk, by its stat. */
export type BlobStat = { readonly key: string; readonly sizeBytes: number };

/** The thread's view. `scan` looks at the disk, the others only at what the last scan saw. */
export type Catalog = {
  readonly scan: () => void;
  readonly inventory: () => Inventory;
  /** Blobs whose hash is not known, those of models first, smaller first. */
  readonly unhashed: () => readonly BlobRef[];
  /** Verified blobs that came and went since this was last asked. */
  readonly takeChange: () => VerifiedChange;
  /** Present and not known to be bad; looks at the disk. `unhashed` = present, hash unknown. */
  readonly stateOf: (ref: BlobRef) => { readonly state: BlobVerdict | 'unhashed'; readonly key: string };
  /** Takes a hash that was made of `digest`'s file. */
  readonly learn: (digest: Sha256, key: string, good: boolean) => void;
  /** This agent put that file there: it is no download of Ollama's. */
  readonly placed: (digest: Sha256, key: string) => void;
  /** Every manifest with what it names. */
  readonly named: () => { readonly models: readonly NamedBlobs[]; readonly refused: string | null };
  /** Manifests that cannot be read, with the reason. */
  readonly faults: () => ReadonlyMap<ModelPath, string>;
};

/** A blob without a manifest is hashed ahead only while it is young: then its manifest is likely to follow. */
const AHEAD_MS = 3_600_000;
/** Blobs without a manifest that are told to others, the larger ones. */
const LOOSE_MAX = 1000;

/** `visit` is told each directory before it is read. */
export function openCatalog(args: { root: string; verified: Verified; visit: (dir: string) => void; wallMs: () => number }): Catalog {
  const { root, verified, visit, wallMs } = args;
  let manifests: ReadonlyMap<ModelPath, FoundManifest> = new Map();
  let blobs = new Map<Sha256, BlobStat>();
  let ahead: readonly BlobRef[] = [];
  let refused: string | null = 'not looked at yet';
  let version = 0;
  let told = '';
  let offered = new Map<Sha256, string>();
  let young: readonly BlobRef[] = [];
  /** Blobs that this agent placed itself: their model is on its way to a standby, not to the active. */
  const placed = new Map<Sha256, string>();

  const scan = () => {
    visit(root);
    refused = refusalOf(root);
    if (refused !== null) {
      manifests = new Map();
      blobs = new Map();
      [ahead, young] = [[], []];
      return;
    }
    const walk = walkManifests(root, manifests, visit, wallMs);
    refused = walk.refused;
    manifests = walk.manifests;
    visit(blobsDir(root));
    const names = blobsOnDisk(root);
    const named = new Set(refsOf(manifests).map((ref) => ref.digest));
    blobs = new Map();
    const unnamed: BlobRef[] = [];
    const fresh: BlobRef[] = [];
    for (const digest of names ?? []) {
      const isFresh = !named.has(digest) && isYoung(root, digest, wallMs());
      if (!named.has(digest) && verified.get(digest) === undefined && !isFresh) continue;
      const stat = statBlob(root, digest);
      if (stat === null) continue;
      blobs.set(digest, stat);
      if (named.has(digest)) placed.delete(digest);
      else unnamed.push({ digest, sizeBytes: stat.sizeBytes });
      if (isFresh) fresh.push({ digest, sizeBytes: stat.sizeBytes });
    }
    [ahead, young] = [unnamed, fresh];
    // What cannot be listed now may be there again in a minute; its hashes are worth keeping.
    if (names !== null) verified.prune((digest) => blobs.has(digest));
  };

  const known = (ref: BlobRef): BlobVerdict | 'unhashed' => {
    const stat = blobs.get(ref.digest);
    if (stat === undefined || stat.sizeBytes !== ref.sizeBytes) return 'absent';
    const hashed = verified.get(ref.digest);
    if (hashed === undefined || hashed.key !== stat.key) return 'unhashed';
    return hashed.good ? 'verified' : 'corrupt';
  };

  const refresh = (digest: Sha256) => {
    const stat = statBlob(root, digest);
    if (stat === null) blobs.delete(digest);
    else blobs.set(digest, stat);
  };

  const looseNow = () =>
    young
      .filter((ref) => known(ref) === 'verified' && placed.get(ref.digest) !== blobs.get(ref.digest)?.key)
      .sort((a, b) => b.sizeBytes - a.sizeBytes)
      .slice(0, LOOSE_MAX);

  return {
    scan,
    inventory: () => {
      const models = refused === null ? [...manifests.values()].map((found) => modelOf(found, known)) : [];
      const loose = refused === null ? looseNow() : [];
      const text = JSON.stringify([models, refused, loose]);
      if (text !== told) version += 1;
      told = text;
      return { version, models, refused, ...(loose.length === 0 ? {} : { loose }) };
    },
    unhashed: () => {
      const refs = uniqueBySize(refsOf(manifests)).filter((ref) => known(ref) === 'unhashed');
      return [...refs, ...uniqueBySize(ahead).filter((ref) => known(ref) === 'unhashed')];
    },
    takeChange: () => {
      const now = new Map<Sha256, string>();
      for (const [digest, stat] of blobs) {
        if (known({ digest, sizeBytes: stat.sizeBytes }) === 'verified') now.set(digest, stat.key);
      }
      const add = [...now].filter(([digest, key]) => offered.get(digest) !== key);
      const remove = [...offered.keys()].filter((digest) => !now.has(digest));
      offered = now;
      return { add, remove };
    },
    stateOf: (ref) => {
      refresh(ref.digest);
      return { state: known(ref), key: blobs.get(ref.digest)?.key ?? '' };
    },
    learn: (digest, key, good) => {
      verified.set(digest, { key, good });
      refresh(digest);
    },
    placed: (digest, key) => {
      placed.set(digest, key);
    },
    named: () => ({
      models: [...manifests.values()].map(({ path, digest, parsed }) => ({ path, digest, blobs: 'fault' in parsed ? null : parsed.blobs })),
      refused,
    }),
    faults: () => {
      const bad = [...manifests.values()].flatMap(({ path, parsed }) => ('fault' in parsed ? [[path, parsed.fault] as const] : []));
      return new Map(bad);
    },
  };
}

function modelOf(found: FoundManifest, known: (ref: BlobRef) => BlobVerdict | 'unhashed'): StoreModel {
  const { path, digest, manifestBytes, parsed } = found;
  const common = { path, manifestDigest: digest, manifestBytes };
  if ('fault' in parsed) return { ...common, sizeBytes: 0, complete: false, missingBytes: 0, weights: '' };
  const missing = parsed.blobs.filter((ref) => known(ref) !== 'verified');
  return {
    ...common,
    sizeBytes: parsed.sizeBytes,
    complete: missing.length === 0,
    missingBytes: missing.reduce((sum, ref) => sum + ref.sizeBytes, 0),
    weights: parsed.weights,
  };
}

function refsOf(manifests: ReadonlyMap<ModelPath, FoundManifest>): readonly BlobRef[] {
  return [...manifests.values()].flatMap(({ parsed }) => ('fault' in parsed ? [] : parsed.blobs));
}

function uniqueBySize(refs: readonly BlobRef[]): readonly BlobRef[] {
  return [...new Map(refs.map((ref) => [ref.digest, ref])).values()].sort((a, b) => a.sizeBytes - b.sizeBytes);
}

function blobsOnDisk(root: string): readonly Sha256[] | null {
  try {
    return readdirSync(blobsDir(root)).flatMap((name) => sha256OfBlobName(name) ?? []);
  } catch {
    return null;
  }
}

function statBlob(root: string, digest: Sha256): BlobStat | null {
  try {
    const stat = lstatSync(`${blobsDir(root)}/${blobName(digest)}`, { bigint: true, throwIfNoEntry: false });
    return stat?.isFile() === true ? { key: fileKeyOf(stat), sizeBytes: Number(stat.size) } : null;
  } catch {
    return null;
  }
}

function isYoung(root: string, digest: Sha256, nowMs: number): boolean {
  const stat = lstatSync(`${blobsDir(root)}/${blobName(digest)}`, { throwIfNoEntry: false });
  return stat !== undefined && stat.mtimeMs > nowMs - AHEAD_MS;
}
