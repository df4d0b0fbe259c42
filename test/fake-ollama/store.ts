// Writes models straight into a store directory, as `ollama create` would leave them. Contents are deterministic: the same
// specification gives the same bytes, digests and manifest on every machine.
import { createCipheriv, createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { encodeGguf, type GgufTensor, type GgufValue } from './gguf.ts';
import { parseName, pathOf } from './names.ts';

/** What a model is made of. Every field has a small default: a text model of 64 KiB. */
export type ModelSpec = {
  /** Size of the weights blob. At least a few hundred bytes are taken by its header. */
  readonly weightsBytes?: number;
  /** 0 = a text model; else a vision model with a projector of this size. */
  readonly projectorBytes?: number;
  /** Sizes of further large layers, which Ollama ignores (image.embed). */
  readonly extraBytes?: readonly number[];
  /** Decides the random bytes; models of one seed and size share their blobs. */
  readonly seed?: number | string;
  /** What the model says; without it the fake makes a text of the weights. */
  readonly text?: string;
  /** After the last word the text goes on at this word, for ever. */
  readonly loopFrom?: number;
  /** Further keys of the GGUF header. `fake.native`, `fake.thinking` and `fake.refuses_prefill` (booleans) choose the way prompts are rendered. */
  readonly gguf?: Readonly<Record<string, GgufValue>>;
  readonly tensors?: readonly GgufTensor[];
  /** null = no layer of that kind. */
  readonly template?: string | null;
  readonly system?: string | null;
  readonly params?: string | null;
  readonly licenses?: readonly string[];
  /** Fields of the config blob, over the defaults. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Created manifests end with a line feed, pulled ones do not. */
  readonly trailingNewline?: boolean;
};

/** A blob in the store. */
export type WrittenBlob = { readonly digest: string; readonly sizeBytes: number; readonly mediaType: string };

/** What was written. `path` is relative to `manifests/`; digests are bare hex. */
export type WrittenModel = {
  readonly path: string;
  readonly file: string;
  readonly manifestDigest: string;
  readonly manifest: Buffer;
  readonly sizeBytes: number;
  readonly blobs: readonly WrittenBlob[];
};

/** The template that Ollama finds for chatml models. */
export const CHATML = '{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n';
const OLLAMA = 'application/vnd.ollama.image.';
const CONFIG = 'application/vnd.docker.container.image.v1+json';
const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const CHUNK_BYTES = 4 * 1024 * 1024;

/** Writes blobs, then the manifest by rename. Throws for an invalid name. Blocks: about 0.3 s for 200 MB. */
export function writeModel(storeDir: string, name: string, spec: ModelSpec = {}): WrittenModel {
  const parsed = parseName(name);
  if (parsed === null) throw new Error(`not a model name: ${name}`);
  mkdirSync(join(storeDir, 'blobs'), { recursive: true });
  const layers = layersOf(spec).map((layer) => writeBlob(storeDir, layer.mediaType, layer.parts));
  const config = writeBlob(storeDir, CONFIG, [Buffer.from(JSON.stringify(configOf(spec)))]);
  const ref = (blob: WrittenBlob) => ({ mediaType: blob.mediaType, digest: `sha256:${blob.digest}`, size: blob.sizeBytes });
  const manifest = { schemaVersion: 2, mediaType: MANIFEST, config: ref(config), layers: layers.map(ref) };
  const bytes = Buffer.from(JSON.stringify(manifest) + (spec.trailingNewline === false ? '' : '\n'));
  const path = pathOf(parsed);
  const blobs = [...layers, config];
  return {
    path,
    file: writeManifest(storeDir, path, bytes),
    manifest: bytes,
    manifestDigest: createHash('sha256').update(bytes).digest('hex'),
    sizeBytes: blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0),
    blobs,
  };
}

/** Puts a manifest in place by rename; gives its absolute path. */
function writeManifest(storeDir: string, path: string, bytes: Buffer): string {
  const file = join(storeDir, 'manifests', path);
  mkdirSync(dirname(file), { recursive: true });
  const staged = join(storeDir, `.manifest-${process.pid}`);
  writeFileSync(staged, bytes);
  renameSync(staged, file);
  return file;
}

type Parts = Iterable<Buffer>;

function layersOf(spec: ModelSpec): { mediaType: string; parts: Parts }[] {
  const seed = String(spec.seed ?? 0);
  const small = (kind: string, text: string | null | undefined) =>
    text === null || text === undefined ? [] : [{ mediaType: OLLAMA + kind, parts: [Buffer.from(text)] }];
  const projectorBytes = spec.projectorBytes ?? 0;
  return [
    { mediaType: `${OLLAMA}model`, parts: weightsOf(spec, seed) },
    ...(projectorBytes > 0 ? [{ mediaType: `${OLLAMA}projector`, parts: projectorOf(projectorBytes, seed) }] : []),
    ...(spec.extraBytes ?? []).map((size, i) => ({ mediaType: `${OLLAMA}embed`, parts: randomBytes(`${seed}/extra/${i}`, size) })),
    ...small('template', spec.template === undefined ? CHATML : spec.template),
    ...small('system', spec.system),
    ...(spec.licenses ?? []).flatMap((license) => small('license', license)),
    ...small('params', spec.params === undefined ? '{"stop":["\\u003c|im_start|\\u003e","\\u003c|im_end|\\u003e"]}\n' : spec.params),
  ];
}

function configOf(spec: ModelSpec): Record<string, unknown> {
  return {
    model_format: 'gguf',
    model_family: 'llama',
    model_families: ['llama'],
    model_type: '134K',
    file_type: 'F32',
    architecture: 'amd64',
    os: 'linux',
    ...spec.config,
  };
}

function* weightsOf(spec: ModelSpec, seed: string): Generator<Buffer> {
  const values = new Map<string, GgufValue>(
    Object.entries({
      'general.architecture': 'llama',
      'general.file_type': 0,
      'llama.block_count': 1,
      'llama.context_length': 8192,
      'llama.embedding_length': 64,
      ...spec.gguf,
      ...(spec.text === undefined ? {} : { 'fake.text': spec.text }),
      ...(spec.loopFrom === undefined ? {} : { 'fake.loop_from': spec.loopFrom }),
    }),
  );
  yield* fill(values, spec.tensors, spec.weightsBytes ?? 65_536, seed);
}

function* projectorOf(bytes: number, seed: string): Generator<Buffer> {
  const values = new Map<string, GgufValue>([
    ['general.architecture', 'clip'],
    ['clip.has_vision_encoder', true],
    ['clip.projector_type', 'mlp'],
  ]);
  yield* fill(values, undefined, bytes, `${seed}/projector`);
}

// Header, then random bytes up to the size; one tensor names them, so that a cut file is noticed.
function* fill(
  values: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[] | undefined,
  bytes: number,
  seed: string,
): Generator<Buffer> {
  const bare = encodeGguf(values, []).length + 256;
  const named = tensors ?? [{ name: 'blk.0.ffn_gate.weight', type: 'F32', shape: [Math.max(1, Math.floor((bytes - bare) / 4))] }];
  const header = encodeGguf(values, named);
  yield header;
  yield* randomBytes(seed, Math.max(0, bytes - header.length));
}

/** A stream of pseudo-random bytes that depends on the seed only; AES in counter mode, about 1 GB/s. */
function* randomBytes(seed: string, sizeBytes: number): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16));
  const zeros = Buffer.alloc(Math.min(CHUNK_BYTES, sizeBytes));
  for (let left = sizeBytes; left > 0; left -= CHUNK_BYTES) yield cipher.update(zeros.subarray(0, Math.min(left, CHUNK_BYTES)));
}

function writeBlob(storeDir: string, mediaType: string, parts: Parts): WrittenBlob {
  const hash = createHash('sha256');
  const staged = join(storeDir, 'blobs', `sha256-${process.pid}0`);
  const file = openSync(staged, 'w', 0o644);
  let sizeBytes = 0;
  try {
    for (const part of parts) {
      hash.update(part);
      writeSync(file, part);
      sizeBytes += part.length;
    }
  } finally {
    closeSync(file);
  }
  const digest = hash.digest('hex');
  renameSync(staged, join(storeDir, 'blobs', `sha256-${digest}`));
  return { digest, sizeBytes, mediaType };
}
