// How a model leaves the live store, and how it comes back. The manifest goes first, so that Ollama never sees a model without its blobs;
// then the blobs that no other manifest names. Everything is moved by rename into the quarantine; nothing is destroyed here.
import { lstat, rename, rmdir, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { displayName } from '../../core/replication/names.ts';
import type { BlobRef, ModelPath, Sha256 } from '../../core/replication/types.ts';
import { codeOf, syncDirectory } from './durable.ts';
import { blobFile, blobsDir, manifestFile, manifestsDir } from './layout.ts';
import { parseManifest, sha256 } from './manifest.ts';
import type { NamedBlobs } from './messages.ts';
import type { PublishOrder, PublishResult } from './publish.ts';
import type { Quarantine, QuarantineEntry } from './quarantine.ts';

/** What leaving needs of the rest of the store. `list` looks at the disk anew. */
export type RetireContext = {
  readonly root: string;
  readonly quarantine: Quarantine;
  readonly list: () => Promise<readonly NamedBlobs[]>;
};

/** `absent`: not here with this manifest (any more). `refused`: and nothing was touched. */
export type RemoveResult =
  | { readonly k: 'removed'; readonly id: string; readonly blobs: number }
  | { readonly k: 'absent' }
  | { readonly k: 'refused'; readonly reason: string };

/** `refused`: and nothing was touched. `missing`: blobs that are neither live nor kept. */
export type RestoreResult =
  | { readonly k: 'restored'; readonly path: ModelPath }
  | { readonly k: 'refused'; readonly reason: string; readonly hint: string }
  | { readonly k: 'incomplete'; readonly missing: readonly BlobRef[] };

/** Takes a model out of the live store into the quarantine. */
export async function retireModel(context: RetireContext, path: ModelPath, digest: Sha256): Promise<RemoveResult> {
  const { root, quarantine, list } = context;
  const models = await list();
  const model = models.find((one) => one.path === path && one.digest === digest);
  if (model === undefined) return { k: 'absent' };
  const unreadable = models.find((one) => one.blobs === null);
  if (unreadable !== undefined || model.blobs === null) {
    const name = displayName(unreadable?.path ?? path);
    return { k: 'refused', reason: `the manifest of ${name} cannot be read, so nobody knows which blobs are shared` };
  }
  const id = await quarantine.create({ kind: 'deleted', path, manifestDigest: digest, blobs: model.blobs }, digest);
  const live = manifestFile(root, path);
  const kept = quarantine.manifestFile(id);
  try {
    await rename(live, kept);
  } catch (error) {
    await quarantine.drop(id);
    if (codeOf(error) === 'ENOENT') return { k: 'absent' };
    throw error;
  }
  // Ollama may have written another manifest since the look: that one was not to go.
  const bytes = await quarantine.readManifest(id);
  if (bytes === null || sha256(bytes) !== digest) {
    await rename(kept, live);
    await quarantine.drop(id);
    return { k: 'refused', reason: 'it changed at this very moment' };
  }
  await quarantine.sync(id);
  await pruneUp(root, dirname(live));
  return { k: 'removed', id, blobs: await takeUnshared(context, id, model.blobs) };
}

/** Keeps a copy of the manifest that is about to be replaced; null when there is none, or it is the same, or no manifest at all. */
export async function keepReplaced(
  context: RetireContext,
  order: PublishOrder,
  readManifest: (path: ModelPath) => Promise<Uint8Array | null>,
  write: (file: string, bytes: Uint8Array) => Promise<void>,
): Promise<{ readonly id: string; readonly blobs: readonly BlobRef[] } | null> {
  const bytes = await readManifest(order.path);
  if (bytes === null) return null;
  const old = parseManifest(bytes);
  if ('fault' in old || old.digest === order.digest) return null;
  const { quarantine } = context;
  const id = await quarantine.create({ kind: 'replaced', path: order.path, manifestDigest: old.digest, blobs: old.blobs }, old.digest);
  await write(quarantine.manifestFile(id), bytes);
  await quarantine.sync(id);
  return { id, blobs: old.blobs };
}

/** Moves those blobs that no manifest names into an entry, and gives back what a manifest names by then. Returns how many went. */
export async function takeUnshared(context: RetireContext, id: string, blobs: readonly BlobRef[]): Promise<number> {
  const { root, quarantine, list } = context;
  const before = namedIn(await list());
  if (before === null) return 0;
  const taken: BlobRef[] = [];
  for (const ref of blobs) if (!before.has(ref.digest) && (await quarantine.takeBlob(id, ref.digest))) taken.push(ref);
  if (taken.length === 0) return 0;
  await quarantine.sync(id);
  await syncDirectory(blobsDir(root));
  const after = namedIn(await list());
  const wanted = taken.filter((ref) => after === null || after.has(ref.digest));
  for (const ref of wanted) await quarantine.giveBlob(ref);
  return taken.length - wanted.length;
}

/** Null when a manifest cannot be read: then any blob may be named. */
function namedIn(models: readonly NamedBlobs[]): ReadonlySet<Sha256> | null {
  const named = new Set<Sha256>();
  for (const { blobs } of models) {
    if (blobs === null) return null;
    for (const { digest } of blobs) named.add(digest);
  }
  return named;
}

/** As Ollama does when it deletes: directories that are empty now go. */
async function pruneUp(root: string, dir: string): Promise<void> {
  await syncDirectory(dir);
  for (let at = dir; at !== manifestsDir(root); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch {
      return;
    }
  }
}

/** Brings the newest entry of `path` back, under `as`. Every blob is hashed before the manifest shows. */
export async function restoreModel(
  context: RetireContext,
  args: {
    readonly path: ModelPath;
    readonly as: ModelPath;
    readonly publish: (order: PublishOrder) => Promise<PublishResult>;
  },
): Promise<RestoreResult> {
  const { root, quarantine, list } = context;
  const entry = (await quarantine.entries()).find((one) => one.path === args.path && one.kind !== 'corrupt');
  const name = displayName(args.path);
  if (entry === undefined) return refusal(`no ${name} is in the quarantine`, 'agentctl replication status lists what is');
  const here = (await list()).find((one) => one.path === args.as);
  if (here !== undefined) {
    const same = here.digest === entry.manifestDigest;
    const hint = same ? 'there is nothing to restore' : `agentctl models restore ${name} --as ANOTHER-NAME`;
    return refusal(same ? `${displayName(args.as)} is here already` : `another ${displayName(args.as)} is here`, hint);
  }
  const bytes = await quarantine.readManifest(entry.id);
  if (bytes === null || sha256(bytes) !== entry.manifestDigest)
    return refusal(`the kept manifest of ${name} is damaged`, `pull ${name} on the active`);
  const given = await giveMissing(root, quarantine, entry);
  const result = await args.publish({ path: args.as, digest: entry.manifestDigest, bytes });
  if (result.k === 'published') {
    await quarantine.drop(entry.id);
    return { k: 'restored', path: args.as };
  }
  for (const { digest } of given) await unlink(blobFile(root, digest)).catch(() => undefined);
  if (result.k === 'refused') return refusal(result.reason, 'agentctl models shows what is here');
  return { k: 'incomplete', missing: result.missing };
}

function refusal(reason: string, hint: string): RestoreResult {
  return { k: 'refused', reason, hint };
}

async function giveMissing(root: string, quarantine: Quarantine, entry: QuarantineEntry): Promise<readonly BlobRef[]> {
  const given: BlobRef[] = [];
  for (const ref of entry.blobs) {
    const live = await lstat(blobFile(root, ref.digest)).catch(() => null);
    if (live === null && (await quarantine.giveBlob(ref))) given.push(ref);
  }
  return given;
}
