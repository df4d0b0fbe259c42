// The store driver: Ollama's models directory as an inventory, and the only way a model gets into it. Rules: Ollama sees a manifest only
// when every blob it names lies verified under its final name; nothing live is written in place; nothing outside the store is touched.
import { constants, realpathSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SMALL_BLOB_BYTES } from '../../core/replication/sizes.ts';
import type { BlobRef, Inventory, ModelPath, Sha256 } from '../../core/replication/types.ts';
import { codeOf, type Owner, openFlush, openRegular, writeDurably } from './durable.ts';
import { openHeld } from './held.ts';
import { FILE_MODE, MANIFEST_BYTES_MAX, manifestFile, partFile, stageDir } from './layout.ts';
import { type Log, startThread } from './link.ts';
import { type Manifest, type ManifestFault, parseManifest, sha256 } from './manifest.ts';
import type { BlobVerdict, NamedBlobs, VerifiedChange } from './messages.ts';
import { type PublishContext, type PublishOrder, type PublishResult, publishBlob, publishModel } from './publish.ts';
import { emptyQuarantine, freeBytesOf, openQuarantine, type QuarantineEntry } from './quarantine.ts';
import {
  keepReplaced,
  type RemoveResult,
  type RestoreResult,
  type RetireContext,
  restoreModel,
  retireModel,
  takeUnshared,
} from './retire.ts';

/** How a store is opened. */
export type StoreOptions = {
  /** Ollama's models directory. */
  readonly root: string;
  /** Where the hashes are remembered; default `.agent-stage/verified.json` in the store. */
  readonly verifiedFile?: string;
  /** Free space that copies leave alone, bytes. */
  readonly reserveBytes: number;
  /** Pace of the look that needs no event, ms; default 30,000. */
  readonly rescanMs?: number;
  readonly log: Log;
};

/** One node's store. Every path and digest is checked; file system errors are thrown as they come. */
export type Store = {
  readonly inventory: () => Inventory;
  /** Called at once with the present inventory, then with every new one. */
  readonly onInventory: (listener: (inventory: Inventory) => void) => void;
  /** Called at once with every verified blob, then with each change: what may be served. */
  readonly onVerified: (listener: (change: VerifiedChange) => void) => void;
  /** Looks at the disk now; resolves when the inventory shows what was there. */
  readonly rescan: () => Promise<void>;
  /** The bytes of a manifest that the inventory names with this digest, else null. */
  readonly readManifest: (path: ModelPath, digest: Sha256) => Promise<Uint8Array | null>;
  readonly parseManifest: (bytes: Uint8Array) => Manifest | ManifestFault;
  /** State of a blob under its final name; hashes it when its hash is not known. */
  readonly verify: (ref: BlobRef) => Promise<BlobVerdict>;
  /** Bytes that may still be written, the reserve kept; can be negative. */
  readonly freeBytes: () => Promise<number>;
  /** File to receive a blob into, and what an earlier attempt left in it: kept over restarts, so that a copy resumes. Of a small blob nobody looks. */
  readonly stage: (digest: Sha256, sizeBytes?: number) => Promise<Staged>;
  /** Keeps a verified part, whose file key is `key`, in the stage until its model comes. */
  readonly holdBlob: (ref: BlobRef, key: string) => Promise<void>;
  /** Gives up held parts older than `maxAgeMs`, but those in `keep`; whether any went. */
  readonly dropHeld: (maxAgeMs: number, keep: ReadonlySet<Sha256>) => Promise<boolean>;
  readonly publishBlob: (ref: BlobRef, key: string) => Promise<void>;
  /** A manifest that it replaces is kept in the quarantine, with the blobs that nothing else names. */
  readonly publishModel: (order: PublishOrder) => Promise<PublishResult>;
  /** Reads a blob anew, whatever is known of it; at most so many bytes per second, 0 = no limit. */
  readonly rehash: (ref: BlobRef, bytesPerSecondMax: number) => Promise<BlobVerdict>;
  /** Looks at the disk: every manifest and what it names. */
  readonly list: () => Promise<readonly NamedBlobs[]>;
  /** Moves a model into the quarantine; it must still have this manifest. */
  readonly removeModel: (path: ModelPath, digest: Sha256) => Promise<RemoveResult>;
  /** Brings the newest quarantined `path` back under the name `as`, every blob hashed first. */
  readonly restoreModel: (path: ModelPath, as: ModelPath) => Promise<RestoreResult>;
  /** What the quarantine holds, newest first. */
  readonly quarantined: () => Promise<readonly QuarantineEntry[]>;
  /** Drops entries older than `maxAgeMs`, and the oldest while fewer than `freeBytes` may be written. Returns what went. */
  readonly emptyQuarantine: (maxAgeMs: number, freeBytes: number) => Promise<readonly QuarantineEntry[]>;
  readonly close: () => Promise<void>;
};

/** Where a blob is received. `heldKey`: the part is whole and verified, and this is its file key. */
export type Staged = { readonly file: string; readonly presentBytes: number; readonly heldKey: string | null };

const RESCAN_MS = 30_000;
const STALE_PART_MS = 7 * 86_400_000;
const READ_ROUNDS = 3;
const PREPARED_MS = 500;
const REREAD_MS = 20;

/** Opens the store and looks once. A store that is not usable opens too: its inventory says why it is refused. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const root = realRoot(options.root);
  await sweepStage(root);
  const inventoryListeners: ((inventory: Inventory) => void)[] = [];
  const verifiedListeners: ((change: VerifiedChange) => void)[] = [];
  const thread = await startThread({
    setup: { root, verifiedFile: options.verifiedFile ?? join(stageDir(root), 'verified.json'), rescanMs: options.rescanMs ?? RESCAN_MS },
    log: options.log,
    onInventory: (inventory) => inventoryListeners.forEach((listener) => void listener(inventory)),
    onVerified: (change) => verifiedListeners.forEach((listener) => void listener(change)),
  });
  const quarantine = openQuarantine(root, () => prepareStage(root), Date.now);
  const retire: RetireContext = { root, quarantine, list: thread.list };
  const freeBytes = () => freeBytesOf(root, options.reserveBytes);
  const flush = openFlush(thread.sync);
  const held = await openHeld(root);
  const prepare = remembered(() => prepareStage(root));
  // What could not be placed holds a file open while it is published: one after the other, for it may be thousands.
  let lastAlone: Promise<void> = Promise.resolve();
  const context = async (): Promise<PublishContext> => {
    const { inventory, keyOf, verify, doubtful, published } = thread;
    return { root, owner: await prepare(), flush, letGo: held.letGo, inventory, keyOf, verify, doubtful, published, keepCorrupt };
  };
  async function keepCorrupt(ref: BlobRef): Promise<void> {
    const id = await quarantine.create({ kind: 'corrupt', path: '', manifestDigest: '', blobs: [ref] }, ref.digest);
    await quarantine.linkBlob(id, ref.digest);
    options.log('warn', 'store_blob_quarantined', `what lay under the name of blob ${ref.digest} is kept as ${id}`, { digest: ref.digest });
  }
  async function publish(order: PublishOrder): Promise<PublishResult> {
    const { owner, ...rest } = await context();
    const read = (path: ModelPath) => readBounded(manifestFile(root, path));
    const kept = await keepReplaced(retire, order, read, (file, bytes) => writeDurably(file, bytes, FILE_MODE, owner));
    const result = await publishModel({ owner, ...rest }, order);
    if (result.k !== 'published') {
      if (kept !== null) await quarantine.drop(kept.id);
      return result;
    }
    await thread.rescan();
    if (kept !== null) {
      await takeUnshared(retire, kept.id, kept.blobs);
      const text = `${order.path} had another manifest here; that one is kept as ${kept.id}`;
      options.log('warn', 'store_model_replaced', text, { path: order.path, id: kept.id });
    }
    return result;
  }
  return {
    inventory: thread.inventory,
    onInventory: (listener) => {
      inventoryListeners.push(listener);
      listener(thread.inventory());
    },
    onVerified: (listener) => {
      verifiedListeners.push(listener);
      listener(thread.verifiedNow());
    },
    rescan: thread.rescan,
    readManifest: async (path, digest) => {
      const known = thread.inventory().models.some((model) => model.path === path && model.manifestDigest === digest);
      return known ? readManifest(root, path, digest) : null;
    },
    parseManifest,
    verify: thread.verify,
    freeBytes,
    stage: async (digest, sizeBytes = Number.POSITIVE_INFINITY) => {
      await prepare();
      const file = partFile(root, digest);
      const present = sizeBytes <= SMALL_BLOB_BYTES ? null : await lstat(file).catch(() => null);
      return { file, presentBytes: present?.size ?? 0, heldKey: await held.keyOf(digest) };
    },
    holdBlob: async (ref, key) => held.hold(ref.digest, key, await prepare()),
    dropHeld: (maxAgeMs, keep) => held.drop(maxAgeMs, keep, Date.now()),
    publishBlob: async (ref, key) => {
      if (ref.sizeBytes > SMALL_BLOB_BYTES) return publishBlob(await context(), ref, key);
      const small = await thread.place(ref, key, await prepare());
      if (small.placed) return held.letGo(ref.digest);
      const alone = lastAlone.then(async () => publishBlob(await context(), ref, small.key));
      lastAlone = alone.catch(() => undefined);
      return alone;
    },
    publishModel: publish,
    rehash: thread.rehash,
    list: thread.list,
    removeModel: async (path, digest) => {
      const result = await retireModel(retire, path, digest);
      await thread.rescan();
      return result;
    },
    restoreModel: (path, as) => restoreModel(retire, { path, as, publish }),
    quarantined: quarantine.entries,
    emptyQuarantine: (maxAgeMs, bytes) =>
      emptyQuarantine(quarantine, { nowMs: Date.now(), maxAgeMs, short: async () => (await freeBytes()) < bytes }),
    close: thread.close,
  };
}

function realRoot(root: string): string {
  try {
    return realpathSync(root);
  } catch {
    return root;
  }
}

/** Asks again only when the last answer is older than PREPARED_MS: thousands of blobs need it one after the other. */
function remembered(ask: () => Promise<Owner>): () => Promise<Owner> {
  let last: { readonly atMs: number; readonly answer: Promise<Owner> } | null = null;
  return () => {
    if (last === null || performance.now() - last.atMs > PREPARED_MS) last = { atMs: performance.now(), answer: ask() };
    return last.answer;
  };
}

/** Makes the stage directory, closed to others, and tells who owns the store. */
async function prepareStage(root: string): Promise<Owner> {
  const { uid, gid } = await stat(root);
  const dir = stageDir(root);
  try {
    await mkdir(dir, { mode: 0o700 });
    await chmod(dir, 0o700);
    await chown(dir, uid, gid);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    if (!(await lstat(dir)).isDirectory()) throw new Error(`${dir} is not a directory; remove it`);
  }
  return { uid, gid };
}

/** Clears what an earlier life left: unpublished manifests, and parts that nobody resumed for a week. */
async function sweepStage(root: string): Promise<void> {
  try {
    await prepareStage(root);
    const dir = stageDir(root);
    for (const name of await readdir(dir)) {
      const old = name.endsWith('.part') && (await lstat(join(dir, name))).mtimeMs < Date.now() - STALE_PART_MS;
      if (old || /^manifest-[0-9a-f]{64}\.json$/.test(name)) await unlink(join(dir, name));
    }
  } catch {
    // Not there, or not ours to write: the inventory's refusal and the first copy say so in words.
  }
}

async function readManifest(root: string, path: ModelPath, digest: Sha256): Promise<Uint8Array | null> {
  const file = manifestFile(root, path);
  for (let round = 1; ; round += 1) {
    const bytes = await readBounded(file);
    if (bytes !== null && sha256(bytes) === digest) return bytes;
    if (bytes === null || round === READ_ROUNDS) return null;
    await pause(REREAD_MS);
  }
}

async function readBounded(file: string): Promise<Uint8Array | null> {
  try {
    const handle = await openRegular(file, constants.O_RDONLY);
    try {
      const bytes = Buffer.alloc(Math.min((await handle.stat()).size, MANIFEST_BYTES_MAX));
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
      return bytes.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch {
    return null;
  }
}
