// POST /api/create in its plain form: from uploaded files or from a model that is here, with template, system, parameters, license.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { blobPath, blobSize, type Layer, readModel } from './disk.ts';
import { readGguf } from './gguf.ts';
import { goJson } from './go.ts';
import { type Exchange, ndjson, refuse, reply, TYPE } from './http.ts';
import { quantization } from './models.ts';
import { parseName, pathOf, shortName } from './names.ts';
import { type Fields, fieldsOf, resolveName, textOf } from './request.ts';
import { CHATML } from './store.ts';

type Tell = (line: Readonly<Record<string, unknown>>) => void;
type Base = { readonly layers: readonly Layer[]; readonly config: Readonly<Record<string, unknown>> };

const OLLAMA = 'application/vnd.ollama.image.';

/** Serves one request. */
export async function serveCreate(x: Exchange, store: string): Promise<void> {
  const fields = await fieldsOf(x, 'CreateRequest', {
    model: 'string',
    from: 'string',
    files: 'object',
    template: 'string',
    system: 'string',
  });
  if (fields === null) return;
  const name = parseName(textOf(fields, 'model'));
  if (name === null) return refuse(x, 400, 'invalid model name');
  mkdirSync(join(store, 'blobs'), { recursive: true });
  if (fields.stream === false) {
    const error = create(store, pathOf(name), fields, () => undefined);
    return error === null ? reply(x, 200, TYPE.json, goJson({ status: 'success' })) : reply(x, 500, TYPE.json, goJson({ error }));
  }
  const out = ndjson(x);
  const error = create(store, pathOf(name), fields, (line) => out.line(line));
  out.line(error === null ? { status: 'success' } : { error });
  out.end();
}

function create(store: string, path: string, fields: Fields, tell: Tell): string | null {
  const base = typeof fields.from === 'string' ? fromModel(store, fields.from, tell) : fromFiles(store, fields.files, tell);
  if (typeof base === 'string') return base;
  const kept = base.layers.filter((layer) => !replaced(layer, fields));
  const added = addedLayers(fields, kept).map(([kind, text]) => ({ kind, ...putLayer(store, OLLAMA + kind, text) }));
  const detected = textOf(fields, 'template') === '' && added.some((layer) => layer.kind === 'template');
  if (detected) tell({ status: 'using autodetected template chatml' });
  for (const { kind, layer, fresh } of added)
    if (!(detected && kind === 'template')) tell({ status: `${fresh ? 'creating new' : 'using existing'} layer ${layer.digest}` });
  const config = putLayer(store, 'application/vnd.docker.container.image.v1+json', `${JSON.stringify(base.config)}\n`).layer;
  const layers = [...kept, ...added.map((layer) => layer.layer)];
  tell({ status: 'writing manifest' });
  const file = join(store, 'manifests', path);
  mkdirSync(dirname(file), { recursive: true });
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
  writeFileSync(file, `${goJson({ schemaVersion: 2, mediaType, config, layers })}\n`, { mode: 0o644 });
  return null;
}

function fromModel(store: string, from: string, tell: Tell): Base | string {
  const name = resolveName(store, from);
  const model = name === null ? null : readModel(store, name);
  if (name === null || model === null || typeof model === 'string') {
    tell({ status: 'pulling manifest' });
    const { host, namespace, model: base, tag } = parseName(from) ?? { host: '', namespace: '', model: from, tag: '' };
    return `pull model manifest: Get "https://${host}/v2/${namespace}/${base}/manifests/${tag}": dial tcp: lookup ${host} on 127.0.0.53:53: no such host`;
  }
  const layers = model.manifest.layers.map((layer) => ({ ...layer, from: shortName(name) }));
  for (const layer of layers) tell({ status: `using existing layer ${layer.digest}` });
  return { layers, config: configOf('134K', 'unknown') };
}

function fromFiles(store: string, files: unknown, tell: Tell): Base | string {
  const all: [string, unknown][] = typeof files === 'object' && files !== null ? Object.entries(files) : [];
  if (all.length === 0) return 'neither "from" or "files" was specified';
  const parsed: { layer: Layer; file: string; projector: boolean; parameters: number; kind: string }[] = [];
  for (const [file, value] of all) {
    const digest = String(value);
    tell({ status: 'parsing GGUF' });
    const path = blobPath(store, digest);
    if (!existsSync(path)) return `open ${path}: no such file or directory`;
    const gguf = readGguf(path);
    const projector = gguf.values.get('general.architecture') === 'clip';
    const layer = { mediaType: OLLAMA + (projector ? 'projector' : 'model'), digest, size: blobSize(store, digest) };
    parsed.push({ layer, file, projector, parameters: gguf.parameters, kind: quantization(gguf) });
  }
  const model = parsed.find((part) => !part.projector);
  const size = model?.layer.size ?? 0;
  tell({ status: 'validating GGUF model', digest: '0000000000000000000', total: size, completed: size });
  tell({ status: 'verifying conversion' });
  const sorted = parsed.sort((a, b) => Number(b.projector) - Number(a.projector));
  for (const { layer } of sorted) {
    tell({ status: `using existing layer ${layer.digest}` });
    utimesSync(blobPath(store, layer.digest), new Date(), new Date());
  }
  const layers = sorted.map(({ layer, file, projector }) => (projector ? { ...layer, from: file } : layer));
  return { layers, config: configOf(count(model?.parameters ?? 0), model?.kind === 'F16' ? 'F16' : 'unknown') };
}

function configOf(size: string, quantized: string): Readonly<Record<string, unknown>> {
  const model = { model_format: 'gguf', model_family: 'llama', model_families: ['llama'], model_type: size, file_type: quantized };
  return { ...model, architecture: 'amd64', os: 'linux' };
}

function count(parameters: number): string {
  return parameters >= 1e6 ? `${(parameters / 1e6).toFixed(2)}M` : `${Math.round(parameters / 1e3)}K`;
}

function replaced(layer: Layer, fields: Fields): boolean {
  const kind = layer.mediaType.slice(OLLAMA.length);
  return (kind === 'template' || kind === 'system') && textOf(fields, kind) !== '';
}

function addedLayers(fields: Fields, kept: readonly Layer[]): readonly (readonly [string, string])[] {
  const own = (kind: string) => kept.some((layer) => layer.mediaType === OLLAMA + kind);
  const template = textOf(fields, 'template') || (own('template') ? '' : CHATML);
  const stop = template === CHATML ? { stop: ['<|im_start|>', '<|im_end|>'] } : null;
  const params = typeof fields.parameters === 'object' && fields.parameters !== null ? fields.parameters : stop;
  const sorted = params === null ? '' : `${goJson(Object.fromEntries(Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1))))}\n`;
  const license = textOf(fields, 'license');
  const all = [
    ['template', template],
    ['system', textOf(fields, 'system')],
    ['license', license],
    ['params', own('params') ? '' : sorted],
  ] as const;
  return all.filter(([, text]) => text !== '');
}

function putLayer(store: string, mediaType: string, text: string): { readonly layer: Layer; readonly fresh: boolean } {
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
  const fresh = blobSize(store, digest) < 0;
  if (fresh) writeFileSync(blobPath(store, digest), text, { mode: 0o644 });
  return { layer: { mediaType, digest, size: Buffer.byteLength(text) }, fresh };
}
