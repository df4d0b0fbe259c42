// Stores for tests: real files in a fresh directory, in Ollama's layout.
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Inventory, StoreModel } from '../../../src/core/replication/types.ts';
import { openStore, type Store, type StoreOptions } from '../../../src/drivers/store/store.ts';

/** A blob's bytes and name. */
export type TestBlob = { readonly digest: string; readonly bytes: Buffer };

/** A model that is not on any disk yet. */
export type TestModel = { readonly path: string; readonly digest: string; readonly manifest: Buffer; readonly blobs: readonly TestBlob[] };

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** A blob of random bytes. */
export function makeBlob(sizeBytes: number): TestBlob {
  const bytes = randomBytes(sizeBytes);
  return { digest: sha256(bytes), bytes };
}

/** A model `registry.ollama.ai/library/NAME/latest` of a config and the given blobs. */
export function makeModel(name: string, blobs: readonly TestBlob[] = [makeBlob(5000)]): TestModel {
  const config = makeBlob(100);
  const layer = ({ digest, bytes }: TestBlob, mediaType: string) => ({ mediaType, digest: `sha256:${digest}`, size: bytes.length });
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config: layer(config, 'application/vnd.docker.container.image.v1+json'),
    layers: blobs.map((blob) => layer(blob, 'application/vnd.ollama.image.model')),
    unknown: { kept: true },
  });
  const manifest = Buffer.from(`${text}\n`);
  return { path: `registry.ollama.ai/library/${name}/latest`, digest: sha256(manifest), manifest, blobs: [config, ...blobs] };
}

/** A model that runs in the cloud: a config, and `layers` null. */
export function cloudStub(name: string): TestModel {
  const config = makeBlob(90);
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, config: { digest: `sha256:${config.digest}`, size: 90 }, layers: null }));
  return { path: `registry.ollama.ai/library/${name}/cloud`, digest: sha256(manifest), manifest, blobs: [config] };
}

/** A fresh directory, removed after the test. */
export function freshDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'store-test-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A fresh store's root with blobs/ and manifests/. */
export function freshRoot(): string {
  const root = join(freshDir(), 'models');
  mkdirSync(join(root, 'blobs'), { recursive: true });
  mkdirSync(join(root, 'manifests'));
  return root;
}

export const blobFile = (root: string, digest: string) => join(root, 'blobs', `sha256-${digest}`);
export const partFile = (root: string, digest: string) => join(root, '.agent-stage', `sha256-${digest}.part`);
export const manifestFile = (root: string, path: string) => join(root, 'manifests', path);

/** Writes a model as Ollama does: blobs, then the manifest in place. */
export function writeModel(root: string, model: TestModel): void {
  for (const { digest, bytes } of model.blobs) writeFileSync(blobFile(root, digest), bytes);
  writeManifest(root, model.path, model.manifest);
}

export function writeManifest(root: string, path: string, bytes: Uint8Array): void {
  mkdirSync(dirname(manifestFile(root, path)), { recursive: true });
  writeFileSync(manifestFile(root, path), bytes);
}

/** True when the manifest is there byte for byte and every blob with its content. */
export function holds(root: string, model: TestModel): boolean {
  const same = (file: string, bytes: Buffer) => existsSync(file) && readFileSync(file).equals(bytes);
  return (
    same(manifestFile(root, model.path), model.manifest) && model.blobs.every(({ digest, bytes }) => same(blobFile(root, digest), bytes))
  );
}

/** An open store that the test closes, with its log. */
export async function open(root: string, options: Partial<StoreOptions> = {}): Promise<Store & { readonly events: string[] }> {
  const events: string[] = [];
  const store = await openStore({ root, reserveBytes: 0, log: (_level, event) => events.push(event), ...options });
  onTestFinished(() => store.close());
  return { ...store, events };
}

/** Resolves with the first inventory that fits. */
export function inventoryWhere(store: Store, fits: (inventory: Inventory) => boolean): Promise<Inventory> {
  return new Promise((resolve) => {
    store.onInventory((inventory) => {
      if (fits(inventory)) resolve(inventory);
    });
  });
}

/** Resolves when the model of this path fits. */
export async function modelWhere(store: Store, path: string, fits: (model: StoreModel) => boolean): Promise<StoreModel> {
  const find = (inventory: Inventory) => inventory.models.find((model) => model.path === path && fits(model));
  const found = find(await inventoryWhere(store, (inventory) => find(inventory) !== undefined));
  if (found === undefined) throw new Error('unreachable');
  return found;
}

export const complete = (store: Store, path: string) => modelWhere(store, path, (model) => model.complete);
