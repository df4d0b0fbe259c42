// The calls that change the store: delete, copy, blobs.
import { createHash } from 'node:crypto';
import { copyFileSync, createWriteStream, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { blobPath, blobSize, type Layer, layersOf, readModel, StoreError } from './disk.ts';
import { type Exchange, empty, head, refuse } from './http.ts';
import { referencedBlobs } from './models.ts';
import { parseName, pathOf } from './names.ts';
import { fieldsOf, resolveName, textOf } from './request.ts';

/** DELETE /api/delete: the manifest, empty directories, then each layer that no readable manifest names. */
export async function serveDelete(x: Exchange, store: string): Promise<void> {
  const fields = await fieldsOf(x, 'DeleteRequest', { model: 'string', name: 'string' });
  if (fields === null) return;
  const asked = textOf(fields, 'model') || textOf(fields, 'name');
  const name = resolveName(store, asked);
  if (name === null) return refuse(x, 400, `name "${asked}" is invalid`);
  const model = readModel(store, name);
  if (model === null) return refuse(x, 404, `model '${asked}' not found`);
  if (typeof model === 'string') return refuse(x, 500, model);
  rmSync(model.file);
  pruneFolders(join(store, 'manifests'));
  removeUnused(store, layersOf(model.manifest));
  empty(x, 200);
}

/** Unlinks the layers that no readable manifest names. */
export function removeUnused(store: string, layers: readonly Layer[]): void {
  const used = referencedBlobs(store);
  for (const layer of layers)
    if (layer.digest !== '' && !used.has(layer.digest.replace(':', '-'))) rmSync(blobPath(store, layer.digest), { force: true });
}

/** Removes empty directories below `folder`, deepest first. */
function pruneFolders(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const path = join(folder, entry.name);
    pruneFolders(path);
    if (readdirSync(path).length === 0) rmdirSync(path);
  }
}

/** POST /api/copy: not atomic, as in the original. */
export async function serveCopy(x: Exchange, store: string): Promise<void> {
  const fields = await fieldsOf(x, 'CopyRequest', { source: 'string', destination: 'string' });
  if (fields === null) return;
  const source = textOf(fields, 'source');
  const target = parseName(textOf(fields, 'destination'));
  if (target === null) return refuse(x, 400, `destination "${textOf(fields, 'destination')}" is invalid`);
  try {
    const name = resolveName(store, source);
    if (name === null) return refuse(x, 400, `source "${source}" is invalid`);
    const model = readModel(store, name);
    if (model === null || typeof model === 'string') return refuse(x, 404, `model "${source}" not found`);
    const file = join(store, 'manifests', pathOf(target));
    mkdirSync(dirname(file), { recursive: true });
    copyFileSync(model.file, file);
    empty(x, 200);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    refuse(x, 400, error.message);
  }
}

/** HEAD and POST /api/blobs/DIGEST. */
export async function serveBlob(x: Exchange, store: string, digest: string): Promise<void> {
  if (!/^sha256[:-][0-9a-fA-F]{64}$/.test(digest)) return refuse(x, 400, 'invalid digest format');
  const present = blobSize(store, digest) >= 0;
  if (x.method === 'HEAD') {
    if (!present) return refuse(x, 404, `blob "${digest}" not found`);
    head(x, 200, [], []);
    x.res.end();
    return;
  }
  // A present blob is not read again; what the client still sends ends with the connection.
  if (present) return empty(x, 200, true);
  const got = await storeBody(x, store);
  const want = digest.replace('-', ':');
  if (got === want) empty(x, 201);
  else refuse(x, 400, `digest mismatch, expected "${want}", got "${got}"`);
}

async function storeBody(x: Exchange, store: string): Promise<string> {
  mkdirSync(join(store, 'blobs'), { recursive: true });
  const staged = join(store, 'blobs', `sha256-${Math.floor(performance.now() * 1000)}`);
  const hash = createHash('sha256');
  x.req.on('data', (bytes) => hash.update(bytes));
  await pipeline(x.req, createWriteStream(staged, { mode: 0o600 }));
  const digest = `sha256:${hash.digest('hex')}`;
  renameSync(staged, blobPath(store, digest));
  return digest;
}

/** Gives blobs that still carry the colon of old versions their present name. */
export function renameOldBlobs(store: string): void {
  const folder = join(store, 'blobs');
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder))
    if (name.startsWith('sha256:')) renameSync(join(folder, name), join(folder, name.replace(':', '-')));
}

/** The start-up prune: what no manifest names and is older than the grace goes; any bad manifest stops it. Gives the log line. */
export function pruneAtStart(store: string, graceMs: number, corrupt: boolean): string {
  if (corrupt) return 'corrupt manifests detected, skipping prune operation.  Re-pull or delete to clear';
  const folder = join(store, 'blobs');
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(store, 'manifests'), { recursive: true });
  const used = referencedBlobs(store);
  let removed = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() || used.has(entry.name.replace(':', '-')) || Date.now() - statSync(path).mtimeMs < graceMs) continue;
    rmSync(path, { force: true });
    if (/^sha256[:-][0-9a-fA-F]{64}$/.test(entry.name)) removed += 1;
  }
  pruneFolders(join(store, 'manifests'));
  return `total unused blobs removed: ${removed}`;
}
