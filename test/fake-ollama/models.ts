// What Ollama knows of a model: capabilities and details, with its two caches (by name and manifest digest) and the way they are poisoned.
import { closeSync, openSync } from 'node:fs';
import { blobPath, blobSize, layersOf, listModels, readBlob, type StoredModel } from './disk.ts';
import { type Gguf, GgufError, readGguf } from './gguf.ts';
import { goTime } from './go.ts';
import { fullName, shortName } from './names.ts';

/** A model ready to be scheduled. Texts are '' where the layer is absent. */
export type Model = {
  readonly stored: StoredModel;
  readonly capabilities: readonly string[];
  readonly template: string;
  readonly system: string;
  /** Path of the weights blob: the key of its runner. */
  readonly weights: string;
  readonly projectors: readonly string[];
};

/** The `details` of a listing. */
export type Details = Readonly<Record<string, unknown>>;

/** Why a model cannot be used. */
export type Refusal = { readonly status: number; readonly text: string };

/** The model lists and caches of one server. */
export interface Models {
  /** Rows of /api/tags, newest first. Throws `StoreError`. */
  tags(): readonly Record<string, unknown>[];
  /** A model for generate and chat. null = a small blob is missing. */
  get(stored: StoredModel): Model | Refusal | null;
  /** Details from the config blob, as /api/ps and /api/show give them. */
  details(stored: StoredModel): Details;
  /** Puts a model into the cache as if its weights had been missing at first sight. */
  poison(stored: StoredModel): void;
}

type Row = { readonly digest: string; readonly details: Details; readonly capabilities: readonly string[] };

const SMALL = ['template', 'system', 'params', 'license', 'messages', 'prompt'];

/** Starts with empty caches, like a restarted server. */
export function createModels(store: string): Models {
  // One entry for each name, good as long as the manifest has the digest it was made from.
  const listed = new Map<string, Row>();
  const usable = new Map<string, Model>();

  function row(stored: StoredModel): Row | null {
    const known = listed.get(fullName(stored.name));
    if (known?.digest === stored.digest) return known;
    const small = [stored.manifest.config, ...layersOfKind(stored, 'template')];
    if (small.some((layer) => blobSize(store, layer.digest) < 0)) return null;
    const fresh = freshRow(store, stored);
    listed.set(fullName(stored.name), fresh);
    return fresh;
  }

  return {
    tags: () =>
      [...listModels(store).models]
        .sort((a, b) => Number(b.modifiedNs / 1_000_000_000n - a.modifiedNs / 1_000_000_000n))
        .flatMap((stored) => {
          const found = row(stored);
          return found === null ? [] : [tagOf(stored, found)];
        }),
    get(stored) {
      const known = usable.get(fullName(stored.name));
      if (known?.stored.digest === stored.digest) return known;
      const small = [stored.manifest.config, ...SMALL.flatMap((kind) => layersOfKind(stored, kind))];
      if (small.some((layer) => blobSize(store, layer.digest) < 0)) return null;
      const fresh = freshModel(store, stored);
      if (!('status' in fresh)) usable.set(fullName(stored.name), fresh);
      return fresh;
    },
    details: (stored) => detailsOf(store, stored),
    poison(stored) {
      const whole = freshModel(store, stored);
      if ('status' in whole) return;
      usable.set(fullName(stored.name), { ...whole, capabilities: capabilitiesOf(store, stored, null) });
    },
  };
}

/** The layers whose media type ends with `image.KIND`. */
export function layersOfKind(stored: StoredModel, kind: string): readonly { readonly digest: string; readonly from?: string }[] {
  return stored.manifest.layers.filter((layer) => layer.mediaType === `application/vnd.ollama.image.${kind}`);
}

/** The header of the weights, or why there is none. A missing or empty file is `absent`. */
export function weightsHeader(path: string): Gguf | 'absent' | string {
  try {
    closeSync(openSync(path, 'r'));
    return readGguf(path);
  } catch (error) {
    if (!(error instanceof GgufError)) return 'absent';
    return error.message;
  }
}

/** The context length that a model was trained for; undefined when its header does not say, or cannot be read. */
export function trainedContext(weights: string): number | undefined {
  const header = weightsHeader(weights);
  return typeof header === 'string' ? undefined : architectureValue(header, 'context_length');
}

/** Dimensions of the model's embeddings; 0 when its header does not say. */
export function embeddingLength(weights: string): number {
  const header = weightsHeader(weights);
  return typeof header === 'string' ? 0 : (architectureValue(header, 'embedding_length') ?? 0);
}

/** The config blob as an object; empty when missing or broken. */
function configOf(store: string, stored: StoredModel): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(readBlob(store, stored.manifest.config.digest) ?? '{}');
  } catch {
    return {};
  }
}

/** Name of a GGUF file type. */
export function quantization(gguf: Gguf): string {
  const names: Record<string, string> = { 0: 'F32', 1: 'F16', 2: 'Q4_0', 7: 'Q8_0', 15: 'Q4_K_M' };
  return names[String(gguf.values.get('general.file_type') ?? '')] ?? 'unknown';
}

function freshModel(store: string, stored: StoredModel): Model | Refusal {
  const weights = layersOfKind(stored, 'model')[0];
  const path = weights === undefined ? '' : blobPath(store, weights.digest);
  const empty = weights !== undefined && blobSize(store, weights.digest) === 0;
  const header = empty ? 'absent' : weightsHeader(path);
  if (typeof header === 'string' && header !== 'absent') return { status: 500, text: header };
  const text = (kind: string) => layersOfKind(stored, kind).map((layer) => readBlob(store, layer.digest) ?? '');
  return {
    stored,
    capabilities: capabilitiesOf(store, stored, typeof header === 'string' ? null : header),
    template: text('template')[0] ?? '',
    system: text('system')[0] ?? '',
    weights: path,
    projectors: layersOfKind(stored, 'projector').map((layer) => blobPath(store, layer.digest)),
  };
}

function freshRow(store: string, stored: StoredModel): Row {
  const weights = layersOfKind(stored, 'model')[0];
  const header = weights === undefined ? 'absent' : weightsHeader(blobPath(store, weights.digest));
  const gguf = typeof header === 'string' ? null : header;
  const context = gguf === null ? undefined : architectureValue(gguf, 'context_length');
  const embedding = gguf === null ? undefined : architectureValue(gguf, 'embedding_length');
  const details = {
    ...detailsOf(store, stored),
    ...(gguf === null ? {} : { quantization_level: quantization(gguf) }),
    ...(context === undefined ? {} : { context_length: context }),
    ...(embedding === undefined ? {} : { embedding_length: embedding }),
  };
  return { digest: stored.digest, details, capabilities: capabilitiesOf(store, stored, gguf) };
}

function detailsOf(store: string, stored: StoredModel): Details {
  const config = configOf(store, stored);
  return {
    parent_model: layersOfKind(stored, 'model')[0]?.from ?? '',
    format: config.model_format ?? '',
    family: config.model_family ?? '',
    families: config.model_families ?? null,
    parameter_size: config.model_type ?? '',
    quantization_level: config.file_type ?? '',
  };
}

/** The value of `ARCHITECTURE.key`. */
function architectureValue(gguf: Gguf, key: string): number | undefined {
  const value = gguf.values.get(`${gguf.values.get('general.architecture') ?? ''}.${key}`);
  return typeof value === 'number' ? value : undefined;
}

function capabilitiesOf(store: string, stored: StoredModel, gguf: Gguf | null): readonly string[] {
  const config = configOf(store, stored).capabilities;
  const template = layersOfKind(stored, 'template').map((layer) => readBlob(store, layer.digest) ?? '')[0] ?? '';
  const pooling = gguf === null ? undefined : architectureValue(gguf, 'pooling_type');
  const found = [
    ...(gguf === null ? [] : [pooling === undefined ? 'completion' : 'embedding']),
    ...(template.includes('.Tools') ? ['tools'] : []),
    ...(template.includes('.Suffix') ? ['insert'] : []),
    ...(layersOfKind(stored, 'projector').length > 0 ? ['vision'] : []),
    ...(gguf?.values.get('fake.thinking') === true ? ['thinking'] : []),
    ...(Array.isArray(config) ? config.map(String) : []),
  ];
  return [...new Set(found)];
}

function tagOf(stored: StoredModel, row: Row): Record<string, unknown> {
  const name = shortName(stored.name);
  return {
    name,
    model: name,
    modified_at: goTime(stored.modifiedNs),
    size: stored.sizeBytes,
    digest: stored.digest,
    details: row.details,
    ...(row.capabilities.length > 0 ? { capabilities: row.capabilities } : {}),
  };
}

/** Every blob digest of a store that a readable manifest names. */
export function referencedBlobs(store: string): ReadonlySet<string> {
  return new Set(listModels(store).models.flatMap((stored) => layersOf(stored.manifest).map((layer) => layer.digest.replace(':', '-'))));
}
