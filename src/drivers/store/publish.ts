// How a model enters a live store: blobs under their final names first, all of them; the manifest last, byte for byte, by one rename.
import { constants } from 'node:fs';
import { lstat, open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { caseKey, displayName, fileKeyOf } from '../../core/replication/names.ts';
import type { BlobRef, Inventory, ModelPath, Sha256 } from '../../core/replication/types.ts';
import { codeOf, type Flush, makeDirectories, type Owner, renameInto, syncDirectory, syncUpTo, writeDurably } from './durable.ts';
import { blobFile, blobsDir, FILE_MODE, manifestFile, partFile, refusalOf, stageDir } from './layout.ts';
import { parseManifest } from './manifest.ts';
import type { BlobVerdict } from './messages.ts';

/** What publishing needs of the rest of the store. */
export type PublishContext = {
  readonly root: string;
  readonly owner: Owner;
  readonly flush: Flush;
  readonly inventory: () => Inventory;
  readonly keyOf: (digest: Sha256) => string | undefined;
  readonly verify: (ref: BlobRef) => Promise<BlobVerdict>;
  /** Those of these whose file is not the one that was verified; by stat alone, and on the store's thread: a model may name thousands. */
  readonly doubtful: (refs: readonly BlobRef[]) => Promise<readonly BlobRef[]>;
  readonly published: (digest: Sha256, key: string) => void;
  /** The part is no longer held. */
  readonly letGo: (digest: Sha256) => Promise<void>;
  /** Keeps the file that lies under this name with another content; called before it is replaced. */
  readonly keepCorrupt: (ref: BlobRef) => Promise<void>;
};

/** A manifest to publish: its bytes as the source has them, and the digest they were ordered by. */
export type PublishOrder = { readonly path: ModelPath; readonly digest: Sha256; readonly bytes: Uint8Array };

/** `incomplete`: blobs that are not there, or not what they are named; nothing is visible then. `refused`: never, and why. */
export type PublishResult =
  | { readonly k: 'published' }
  | { readonly k: 'incomplete'; readonly missing: readonly BlobRef[] }
  | { readonly k: 'refused'; readonly reason: string };

/**
 * Moves a received blob under its final name. `key` is the file key at which its hash was checked: a file that is no longer that one is
 * refused. The name becomes durable with the model that needs it (publishModel flushes the directory).
 */
export async function publishBlob(context: PublishContext, ref: BlobRef, key: string): Promise<void> {
  const { root, owner } = context;
  const part = partFile(root, ref.digest);
  const handle = await open(part, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await handle.stat({ bigint: true });
    if (!stat.isFile()) throw new Error(`${part} is not a regular file`);
    if (fileKeyOf(stat) !== key || stat.size !== BigInt(ref.sizeBytes)) throw new Error(`${part} changed after its hash was checked`);
    if (stat.uid !== BigInt(owner.uid) || stat.gid !== BigInt(owner.gid)) await handle.chown(owner.uid, owner.gid);
    await handle.chmod(FILE_MODE);
    // Ollama's start-up prune spares blobs without a manifest for an hour, counted from the file's time.
    const now = new Date();
    await handle.utimes(now, now);
    await context.flush(handle);
    await keepOld(context, ref);
    await rename(part, blobFile(root, ref.digest)).catch(async (error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
      await makeDirectories(root, blobsDir(root), owner);
      await rename(part, blobFile(root, ref.digest));
    });
    await context.letGo(ref.digest);
    context.published(ref.digest, fileKeyOf(await handle.stat({ bigint: true })));
  } finally {
    await handle.close();
  }
}

/** What lies there unverified does not have its name's content: evidence, and nothing that a reader should lose without a trace. */
async function keepOld(context: PublishContext, ref: BlobRef): Promise<void> {
  const old = await lstat(blobFile(context.root, ref.digest), { bigint: true }).catch(() => null);
  if (old?.isFile() === true && fileKeyOf(old) !== context.keyOf(ref.digest)) await context.keepCorrupt(ref);
}

/** Makes a model visible. Throws what the file system throws; leaves nothing half-visible. */
export async function publishModel(context: PublishContext, order: PublishOrder): Promise<PublishResult> {
  const { root, owner } = context;
  const manifest = parseManifest(order.bytes);
  if ('fault' in manifest) return { k: 'refused', reason: `its manifest is not usable: ${manifest.fault}` };
  if (manifest.digest !== order.digest) return { k: 'refused', reason: 'its manifest is not the one that was ordered' };
  const refusal = refusalOf(root) ?? variantOf(context.inventory(), order.path);
  if (refusal !== null) return { k: 'refused', reason: refusal };

  const missing = await missingOf(context, manifest.blobs);
  if (missing.length > 0) return { k: 'incomplete', missing };
  await syncDirectory(blobsDir(root));
  const staged = join(stageDir(root), `manifest-${order.digest}.json`);
  await writeDurably(staged, order.bytes, FILE_MODE, owner);
  const { ino } = await lstat(staged, { bigint: true });
  const file = manifestFile(root, order.path);
  const prepare = async () => {
    await makeDirectories(root, dirname(file), owner);
    return (await context.doubtful(manifest.blobs)).length === 0;
  };
  const visible = await renameInto(staged, file, prepare);
  if (visible) await syncUpTo(root, dirname(file));
  // Without an answer nobody knows; then the model is taken back, and published anew.
  const lost = await context.doubtful(manifest.blobs).catch(() => manifest.blobs);
  if (visible && lost.length === 0) return { k: 'published' };
  // A `rm` of another model took a shared blob at this very moment. A model without weights would poison Ollama's cache: take it back.
  if (visible) await unlinkIf(file, ino);
  else await unlink(staged);
  return { k: 'incomplete', missing: lost };
}

function variantOf(inventory: Inventory, path: ModelPath): string | null {
  const other = inventory.models.find((model) => model.path !== path && caseKey(model.path) === caseKey(path));
  return other === undefined ? null : `differs from ${displayName(other.path)} by case alone`;
}

/** Blobs that are not there as verified, after hashing what is there unhashed. */
async function missingOf(context: PublishContext, refs: readonly BlobRef[]): Promise<readonly BlobRef[]> {
  const missing: BlobRef[] = [];
  for (const ref of await context.doubtful(refs)) {
    if ((await context.verify(ref)) !== 'verified') missing.push(ref);
  }
  return missing;
}

async function unlinkIf(file: string, ino: bigint): Promise<void> {
  const stat = await lstat(file, { bigint: true }).catch(() => null);
  if (stat?.ino === ino) await unlink(file);
}
