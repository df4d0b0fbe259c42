// Overrides from the environment: OLLAMA_HA_ + path joined by `__`, e.g. OLLAMA_HA_LEASE__PRESET=fast or OLLAMA_HA_CLUSTER__NODES__0__ADDRESS.
// Case and single underscores inside a key do not count. Values of other types than text are read as YAML.
import { parse } from 'yaml';
import { bare, closest, keyAt, keysAt } from './keys.ts';
import { type Problem, pathText, problemOf } from './problem.ts';

/** Variables of a process, as in process.env. */
export type Env = Readonly<Record<string, string | undefined>>;

const prefix = 'OLLAMA_HA_';
const valueLengthMax = 16_384;

type Path = (string | number)[];
type Override = { readonly name: string; readonly path: Path; readonly value: unknown };

/** The file's values with the environment's written over them, who wrote each path (`lease.preset` -> variable), and what could not be placed. */
export function withEnvironment(
  values: Record<string, unknown>,
  env: Env,
): { readonly values: Record<string, unknown>; readonly origins: ReadonlyMap<string, string>; readonly problems: readonly Problem[] } {
  const origins = new Map<string, string>();
  const problems: Problem[] = [];
  const merged = structuredClone(values);
  for (const name of Object.keys(env)
    .filter((key) => key.startsWith(prefix))
    .sort()) {
    const override = overrideOf(name, env[name] ?? '');
    if (override === null) continue;
    if ('hint' in override) problems.push(override);
    else {
      setIn(merged, override.path, override.value);
      origins.set(pathText(override.path), name);
    }
  }
  return { values: merged, origins, problems };
}

// Null: not meant for the configuration (no path separator, and no section's name at its start).
function overrideOf(name: string, text: string): Override | Problem | null {
  const parts = name.slice(prefix.length).split('__');
  const section = keysAt([]).find((key) => parts[0] !== undefined && bare(parts[0]).startsWith(bare(key)));
  if (parts.length === 1 && section === undefined) return null;
  const path = pathOf(parts);
  if (!Array.isArray(path)) return problemOf(name, 'names no key of the configuration', path.hint);
  if (text.length > valueLengthMax) return problemOf(name, `is longer than ${valueLengthMax} characters`, 'put it into the file');
  return { name, path, value: typedValue(text, path) };
}

function pathOf(parts: readonly string[]): Path | { readonly hint: string } {
  const path: Path = [];
  for (const part of parts) {
    const known = keysAt(path);
    const found = known.find((key) => bare(key) === bare(part));
    if (found !== undefined) path.push(found);
    else if (/^\d{1,3}$/.test(part) && keyAt(path)?.type === 'array') path.push(Number(part));
    else return { hint: misspelt(path, part, known) };
  }
  return path;
}

function misspelt(path: Path, part: string, known: readonly string[]): string {
  const joined = keysAt([]).flatMap((section) => keysAt([section]).map((key) => [section, key]));
  const meant = path.length === 0 ? joined.find((pair) => bare(pair.join('')) === bare(part)) : undefined;
  const near = meant ?? closest(part, known);
  if (near === null) return known.length > 0 ? `known here: ${known.map(variable).join(', ')}` : 'this key has nothing below it';
  return `did you mean ${prefix}${[...path, ...(typeof near === 'string' ? [near] : near)].map((key) => variable(String(key))).join('__')}?`;
}

function variable(key: string): string {
  return key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
}

function typedValue(text: string, path: Path): unknown {
  if (keyAt(path)?.type === 'string') return text;
  try {
    return parse(text, { version: '1.2', merge: false, maxAliasCount: 0 });
  } catch {
    return text;
  }
}

function setIn(root: Record<string, unknown>, path: Path, value: unknown): void {
  let at: Record<string | number, unknown> = root;
  path.slice(0, -1).forEach((part, depth) => {
    const inner = at[part];
    const next = typeof inner === 'object' && inner !== null ? inner : typeof path[depth + 1] === 'number' ? [] : {};
    at[part] = next;
    at = next as Record<string | number, unknown>;
  });
  const last = path.at(-1);
  if (last !== undefined) at[last] = value;
}
