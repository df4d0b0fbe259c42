// Reads the store from disk at every call, with the mistakes of Ollama: one entry that cannot be examined fails the whole list.
import { createHash } from 'node:crypto';
import { type Dirent, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { goFsError, goJsonError } from './go.ts';
import { type Name, nameOfPath, pathOf, sameName } from './names.ts';

/** One layer, or the config, of a manifest. */
export type Layer = {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly from?: string;
  readonly name?: string;
};

/** A parsed manifest. */
export type Manifest = { readonly config: Layer; readonly layers: readonly Layer[] };

/** A manifest on disk. `digest` is the bare hex hash of its bytes. */
export type StoredModel = {
  readonly name: Name;
  readonly file: string;
  readonly manifest: Manifest;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly modifiedNs: bigint;
};

/** A failure with the text that Ollama shows. */
export class StoreError extends Error {}

/** Every well-formed manifest; `corrupt` counts the others. Throws `StoreError` when an entry cannot be examined. */
export function listModels(store: string): { readonly models: readonly StoredModel[]; readonly corrupt: number } {
  const models: StoredModel[] = [];
  let corrupt = 0;
  for (const entry of manifestFiles(store)) {
    const read = entry.name === null ? 'bad name' : readStored(entry.file, entry.name);
    if (typeof read === 'string') corrupt += 1;
    else if (read !== null) models.push(read);
  }
  return { models, corrupt };
}

/** The name of an existing model that equals `name` without case, else `name` itself. Throws `StoreError` as the list does. */
export function existingName(store: string, name: Name): Name {
  const names = manifestFiles(store).flatMap((entry) => entry.name ?? []);
  return names.find((other) => sameName(other, name)) ?? name;
}

/** One model by its exact name: null = no such manifest; a text = why it cannot be read. */
export function readModel(store: string, name: Name): StoredModel | string | null {
  const file = join(store, 'manifests', pathOf(name));
  return readStored(file, name);
}

/** Path of a blob; takes `sha256:HEX` and `sha256-HEX`. */
export function blobPath(store: string, digest: string): string {
  return join(store, 'blobs', digest.replace(':', '-'));
}

/** Size of a blob, or -1 when it is not there. */
export function blobSize(store: string, digest: string): number {
  return statSync(blobPath(store, digest), { throwIfNoEntry: false })?.size ?? -1;
}

/** Text of a small blob; null = missing. */
export function readBlob(store: string, digest: string): string | null {
  try {
    return readFileSync(blobPath(store, digest), 'utf8');
  } catch {
    return null;
  }
}

/** All layers and the config of a manifest. */
export function layersOf(manifest: Manifest): readonly Layer[] {
  return [...manifest.layers, manifest.config];
}

const vanishing = new Map<string, number>();

/** Makes the next `times` listings of a store fail, as when a manifest vanishes between the two looks of one listing. */
export function failListings(store: string, times: number): void {
  vanishing.set(store, times);
}

function manifestFiles(store: string): { file: string; name: Name | null }[] {
  const failing = vanishing.get(store) ?? 0;
  vanishing.set(store, Math.max(0, failing - 1));
  if (failing > 0)
    throw new StoreError(`stat ${join(store, 'manifests/registry.ollama.ai/library/gone/latest')}: no such file or directory`);
  const root = join(store, 'manifests');
  const found: { file: string; name: Name | null }[] = [];
  for (const host of folders(root))
    for (const namespace of folders(join(root, host)))
      for (const model of folders(join(root, host, namespace)))
        for (const tag of entries(join(root, host, namespace, model))) {
          const file = join(root, host, namespace, model, tag.name);
          if (!isFolder(file)) found.push({ file, name: nameOfPath(host, namespace, model, tag.name) });
        }
  return found;
}

function isFolder(file: string): boolean {
  try {
    return statSync(file).isDirectory();
  } catch (error) {
    throw new StoreError(goFsError('stat', file, error));
  }
}

function folders(path: string): string[] {
  return entries(path).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
}

function entries(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return [];
  }
}

function readStored(file: string, name: Name): StoredModel | string | null {
  try {
    const bytes = readFileSync(file);
    const text = bytes.toString('utf8');
    const broken = goJsonError(text);
    if (broken !== '') return broken;
    const manifest = manifestOf(JSON.parse(text));
    return {
      name,
      file,
      manifest,
      digest: createHash('sha256').update(bytes).digest('hex'),
      sizeBytes: layersOf(manifest).reduce((sum, layer) => sum + layer.size, 0),
      modifiedNs: statSync(file, { bigint: true }).mtimeNs,
    };
  } catch {
    return null;
  }
}

/** A manifest of whatever JSON was found; what is missing becomes empty. */
export function manifestOf(value: unknown): Manifest {
  const fields = value as { config?: Partial<Layer>; layers?: Partial<Layer>[] | null } | null;
  return { config: layerOf(fields?.config), layers: (fields?.layers ?? []).map(layerOf) };
}

function layerOf(layer: Partial<Layer> | undefined): Layer {
  return { ...layer, mediaType: layer?.mediaType ?? '', digest: layer?.digest ?? '', size: layer?.size ?? 0 };
}
