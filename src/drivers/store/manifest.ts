// Reads a manifest's text: which blobs a model consists of. The bytes themselves are copied as they are and never written anew.
import { createHash } from 'node:crypto';
import { sha256OfReference } from '../../core/replication/names.ts';
import type { BlobRef, Sha256 } from '../../core/replication/types.ts';
import { BLOB_BYTES_MAX, LAYERS_MAX, MANIFEST_BYTES_MAX } from './layout.ts';

/** A manifest as far as replication needs it. `blobs` names each digest once; `sizeBytes` counts as Ollama does, repeats included. */
export type Manifest = {
  readonly digest: Sha256;
  readonly manifestBytes: number;
  readonly sizeBytes: number;
  readonly blobs: readonly BlobRef[];
  readonly weights: Sha256 | '';
};

/** Why bytes are no manifest, in words. */
export type ManifestFault = { readonly fault: string };

const WEIGHTS = 'application/vnd.ollama.image.model';

/** Parses a manifest's bytes; a fault is a value, because half-written manifests are everyday in a live store. */
export function parseManifest(bytes: Uint8Array): Manifest | ManifestFault {
  if (bytes.length > MANIFEST_BYTES_MAX) return { fault: `larger than ${MANIFEST_BYTES_MAX} bytes` };
  if (bytes.length === 0) return { fault: 'empty' };
  const json = parseJson(bytes);
  if (!isObject(json)) return { fault: 'not a JSON object' };
  const entries = entriesOf(json);
  if ('fault' in entries) return entries;
  const layers = entries.map(layerOf);
  if (!layers.every((layer) => layer !== null)) return { fault: 'a layer without a well-formed digest and size' };
  const sizes = new Map<Sha256, number>();
  for (const layer of layers) {
    const before = sizes.get(layer.digest);
    if (before !== undefined && before !== layer.sizeBytes) return { fault: 'one blob is named with two sizes' };
    sizes.set(layer.digest, layer.sizeBytes);
  }
  return {
    digest: sha256(bytes),
    manifestBytes: bytes.length,
    sizeBytes: layers.reduce((sum, layer) => sum + layer.sizeBytes, 0),
    blobs: [...sizes].map(([digest, sizeBytes]) => ({ digest, sizeBytes })),
    weights: layers.find((layer) => layer.mediaType === WEIGHTS)?.digest ?? '',
  };
}

/** Hex SHA-256 of a small byte string. */
export function sha256(bytes: Uint8Array): Sha256 {
  return createHash('sha256').update(bytes).digest('hex');
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    return null;
  }
}

/** Config and layers as one list. Cloud stubs have `layers: null`; an older manifest may have no config. */
function entriesOf(json: Record<string, unknown>): readonly unknown[] | ManifestFault {
  const layers = json.layers ?? [];
  if (!Array.isArray(layers)) return { fault: 'layers is not a list' };
  if (layers.length > LAYERS_MAX) return { fault: `more than ${LAYERS_MAX} layers` };
  const config = isObject(json.config) && json.config.digest !== '' && json.config.digest !== undefined ? [json.config] : [];
  const entries: readonly unknown[] = [...config, ...layers];
  return entries.length > 0 ? entries : { fault: 'neither config nor layers' };
}

function layerOf(entry: unknown): (BlobRef & { readonly mediaType: string }) | null {
  if (!isObject(entry) || typeof entry.digest !== 'string') return null;
  const digest = sha256OfReference(entry.digest);
  const sizeBytes = entry.size;
  if (digest === null || typeof sizeBytes !== 'number' || !Number.isSafeInteger(sizeBytes)) return null;
  if (sizeBytes < 0 || sizeBytes > BLOB_BYTES_MAX) return null;
  return { digest, sizeBytes, mediaType: typeof entry.mediaType === 'string' ? entry.mediaType : '' };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
