// Model names: the grammar, the defaults, the path in the store.

/** A full model name. Its path in the store is the four parts joined by `/`. */
export type Name = { readonly host: string; readonly namespace: string; readonly model: string; readonly tag: string };

const PART = {
  host: /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}$/,
  namespace: /^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$/,
  model: /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/,
} as const;

/** Defaults of what a short name leaves out. */
const DEFAULT = { host: 'registry.ollama.ai', namespace: 'library', tag: 'latest' } as const;

/** Parses a name as requests carry it; null = invalid, also when the model part is empty. */
export function parseName(text: string): Name | null {
  const plain = text.replace(/^[a-z]+:\/\//, '');
  const colon = plain.lastIndexOf(':');
  const tagged = colon > plain.lastIndexOf('/');
  const parts = (tagged ? plain.slice(0, colon) : plain).split('/');
  const model = parts.pop() ?? '';
  const namespace = parts.pop() ?? DEFAULT.namespace;
  const host = parts.length > 0 ? parts.join('/') : DEFAULT.host;
  const name = { host, namespace, model, tag: tagged ? plain.slice(colon + 1) : DEFAULT.tag };
  return isValid(name) ? name : null;
}

/** The shortest form, with the tag always: `llama3.2:latest`. */
export function shortName(name: Name): string {
  const tail = `${name.model}:${name.tag}`;
  if (name.host !== DEFAULT.host) return `${name.host}/${name.namespace}/${tail}`;
  return name.namespace === DEFAULT.namespace ? tail : `${name.namespace}/${tail}`;
}

/** The full form: `registry.ollama.ai/library/llama3.2:latest`. */
export function fullName(name: Name): string {
  return `${name.host}/${name.namespace}/${name.model}:${name.tag}`;
}

/** Path below `manifests/`. */
export function pathOf(name: Name): string {
  return `${name.host}/${name.namespace}/${name.model}/${name.tag}`;
}

/** The name of a path below `manifests/`; null when a part breaks the grammar. */
export function nameOfPath(host: string, namespace: string, model: string, tag: string): Name | null {
  const name = { host, namespace, model, tag };
  return isValid(name) ? name : null;
}

/** Equal without case, part by part, as lookups compare. */
export function sameName(a: Name, b: Name): boolean {
  return fullName(a).toLowerCase() === fullName(b).toLowerCase();
}

function isValid(name: Name): boolean {
  return PART.host.test(name.host) && PART.namespace.test(name.namespace) && PART.model.test(name.model) && PART.model.test(name.tag);
}
