// Request bodies: decoded with the complaints of Go, and the model they name.
import { existingName, readModel, type StoredModel, StoreError } from './disk.ts';
import { goBase64, goJsonError, goKind } from './go.ts';
import { bodyOf, type Exchange, refuse } from './http.ts';
import { type Name, parseName } from './names.ts';

/** A decoded body. */
export type Fields = Readonly<Record<string, unknown>>;

type Kind = 'string' | 'bool' | 'array' | 'object';

/** Reads the body of a native route. Answers 400 itself and gives null when it cannot be used. */
export async function fieldsOf(x: Exchange, struct: string, kinds: Readonly<Record<string, Kind>>): Promise<Fields | null> {
  const text = await bodyOf(x);
  if (text.trim() === '') {
    refuse(x, 400, 'missing request body');
    return null;
  }
  const broken = goJsonError(text);
  const value: unknown = broken === '' ? JSON.parse(text) : {};
  const wrong = broken === '' ? wrongKind(value, struct, kinds) : broken;
  if (wrong !== '') {
    refuse(x, 400, wrong);
    return null;
  }
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}

function wrongKind(value: unknown, struct: string, kinds: Readonly<Record<string, Kind>>): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return `json: cannot unmarshal ${goKind(value)} into Go value of type api.${struct}`;
  for (const [key, field] of Object.entries(value)) {
    const want = kinds[key];
    if (want === undefined || field === null || goKind(field) === want) continue;
    const type = want === 'array' ? '[]string' : want === 'object' ? 'map[string]interface {}' : want;
    return `json: cannot unmarshal ${goKind(field)} into Go struct field ${struct}.${key} of type ${type}`;
  }
  return '';
}

/** Decodes images; the first bad one gives Go's error. `bad` counts those that are no picture. */
export function imagesOf(value: unknown): { readonly count: number; readonly bad: number } | string {
  const list = Array.isArray(value) ? value : [];
  let bad = 0;
  for (const image of list) {
    const decoded = goBase64(String(image));
    if ('error' in decoded) return decoded.error;
    if (!isPicture(decoded.bytes)) bad += 1;
  }
  return { count: list.length, bad };
}

function isPicture(bytes: Buffer): boolean {
  const start = bytes.subarray(0, 4).toString('latin1');
  return start === '\x89PNG' || start.startsWith('\xff\xd8\xff') || start === 'GIF8' || start === 'RIFF' || start.startsWith('BM');
}

/** Finds a model for a request: the stored one, or how its absence is told. */
export type Found = { readonly stored: StoredModel } | { readonly problem: 'invalid' | 'missing' | 'tree' } | { readonly broken: string };

/** Looks a model up as requests name it, without case. */
export function findModel(store: string, asked: string): Found {
  const name = parseName(asked);
  if (name === null) return { problem: asked === '' ? 'missing' : 'invalid' };
  try {
    return found(readModel(store, existingName(store, name)));
  } catch (error) {
    if (error instanceof StoreError) return { problem: 'tree' };
    throw error;
  }
}

function found(read: StoredModel | string | null): Found {
  if (read === null) return { problem: 'missing' };
  return typeof read === 'string' ? { broken: read } : { stored: read };
}

/** The existing spelling of a name, or null when the name is invalid. Throws `StoreError`. */
export function resolveName(store: string, asked: string): Name | null {
  const name = parseName(asked);
  return name === null ? null : existingName(store, name);
}

/** A text field, or ''. */
export function textOf(fields: Fields, key: string): string {
  const value = fields[key];
  return typeof value === 'string' ? value : '';
}

const FLOATS = ['temperature', 'top_p', 'min_p', 'typical_p', 'repeat_penalty', 'presence_penalty', 'frequency_penalty'];
const WHOLES = ['num_predict', 'num_ctx', 'num_batch', 'num_gpu', 'seed', 'top_k', 'num_keep', 'num_thread', 'main_gpu', 'repeat_last_n'];

/** Options that a runner is started with, and their defaults. */
const RUNNER: Readonly<Record<string, unknown>> = {
  num_batch: 512,
  num_gpu: -1,
  main_gpu: 0,
  use_mmap: null,
  num_thread: 0,
  draft_num_predict: 0,
};

/** The options of a request that matter here. `runnerOptions`: those that a runner is started with, as text; equal texts need no reload. */
export type AskedOptions = { readonly numPredict: number | undefined; readonly numCtx: number | undefined; readonly runnerOptions: string };

/** The options that matter here, or the complaint about a type. */
export function optionsOf(value: unknown): AskedOptions | string {
  const options =
    typeof value === 'object' && value !== null ? new Map<string, unknown>(Object.entries(value)) : new Map<string, unknown>();
  for (const [key, option] of options) {
    if (typeof option === 'number') continue;
    if (FLOATS.includes(key)) return `option "${key}" must be of type float32`;
    if (WHOLES.includes(key)) return `option "${key}" must be of type integer`;
  }
  const number = (key: string) => {
    const option = options.get(key);
    return typeof option === 'number' ? option : undefined;
  };
  const runner = Object.keys(RUNNER).flatMap((key) => {
    const given = options.get(key) ?? RUNNER[key];
    return given === RUNNER[key] ? [] : [`${key}=${given}`];
  });
  return { numPredict: number('num_predict'), numCtx: number('num_ctx'), runnerOptions: runner.join() };
}

/** What is wrong with a `format`, or null. */
export function badFormat(value: unknown): string | null {
  if (value === undefined || value === null || value === '' || value === 'json') return null;
  if (typeof value === 'object') return null;
  return `invalid format: ${JSON.stringify(JSON.stringify(value))}; expected "json" or a valid JSON Schema object`;
}
