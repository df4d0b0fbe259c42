// Ollama's name grammar, as far as a replicator must know it. Every name and digest that comes from disk or from a peer passes here
// before it becomes part of a path: no part can hold a slash or begin with a dot, so a checked path cannot leave the store.
import type { ModelPath, Sha256 } from './types.ts';

/** The four parts of a model's place. */
export type NameParts = { readonly host: string; readonly namespace: string; readonly model: string; readonly tag: string };

const DEFAULT_HOST = 'registry.ollama.ai';
const DEFAULT_NAMESPACE = 'library';
const DEFAULT_TAG = 'latest';

const HOST = /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}$/;
const NAMESPACE = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$/;
const MODEL_OR_TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/;
const DIGEST = /^[0-9a-f]{64}$/;
const BLOB_FILE = /^sha256-([0-9a-f]{64})$/;

/** The parts of `host/namespace/model/tag`, or null when the text is not such a path under Ollama's grammar. */
function partsOfPath(path: string): NameParts | null {
  const [host, namespace, model, tag, ...rest] = path.split('/');
  if (host === undefined || namespace === undefined || model === undefined || tag === undefined || rest.length > 0) return null;
  const good = HOST.test(host) && NAMESPACE.test(namespace) && MODEL_OR_TAG.test(model) && MODEL_OR_TAG.test(tag);
  return good ? { host, namespace, model, tag } : null;
}

/** True for a well-formed `host/namespace/model/tag`. */
export function isModelPath(path: string): path is ModelPath {
  return partsOfPath(path) !== null;
}

/**
 * The path of a name as people write it: `llama3.2`, `user/model:tag`, `hf.co/user/repo:Q4`. Missing parts get Ollama's defaults.
 * Null when the name breaks the grammar.
 */
export function pathOfName(name: string): ModelPath | null {
  const slash = name.lastIndexOf('/');
  const colon = name.indexOf(':', slash + 1);
  const tag = colon < 0 ? DEFAULT_TAG : name.slice(colon + 1);
  const left = (colon < 0 ? name : name.slice(0, colon)).split('/');
  if (left.length > 3) return null;
  const model = left.pop() ?? '';
  const namespace = left.pop() ?? DEFAULT_NAMESPACE;
  const host = left.pop() ?? DEFAULT_HOST;
  const path = `${host}/${namespace}/${model}/${tag}`;
  return isModelPath(path) ? path : null;
}

/** The shortest form that Ollama shows: default host and namespace dropped, the tag always there. The path itself when it is malformed. */
export function displayName(path: ModelPath): string {
  const parts = partsOfPath(path);
  if (parts === null) return path;
  const name = `${parts.model}:${parts.tag}`;
  if (caseKey(parts.host) !== DEFAULT_HOST) return `${parts.host}/${parts.namespace}/${name}`;
  return caseKey(parts.namespace) === DEFAULT_NAMESPACE ? name : `${parts.namespace}/${name}`;
}

/** Equal for two paths that Ollama's lookup cannot tell apart. */
export function caseKey(path: string): string {
  return path.toLowerCase();
}

/** True for 64 lower-case hex digits. */
export function isSha256(text: string): text is Sha256 {
  return DIGEST.test(text);
}

/** The digest in a manifest's `sha256:HEX`, or null. */
export function sha256OfReference(text: string): Sha256 | null {
  const hex = text.startsWith('sha256:') ? text.slice(7) : '';
  return isSha256(hex) ? hex : null;
}

/** The digest in a finished blob's file name, or null for every other file. */
export function sha256OfBlobName(name: string): Sha256 | null {
  return BLOB_FILE.exec(name)?.[1] ?? null;
}

/** A blob's file name under blobs/. Throws on anything but a digest: such a value must never have come this far. */
export function blobName(digest: Sha256): string {
  if (!isSha256(digest)) throw new Error('a blob is named by 64 lower-case hex digits');
  return `sha256-${digest}`;
}

/**
 * What tells one content of a file from another without reading it. Ollama never keeps all four equal when it rewrites a file; the agent
 * takes a hash as still true only while the key is unchanged.
 */
export function fileKeyOf(file: {
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}): string {
  return `${file.ino}:${file.size}:${file.mtimeNs}:${file.ctimeNs}`;
}
