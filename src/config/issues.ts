// zod's issues in the operator's words.
import type { z } from 'zod';
import { closest, keyAt, keysAt, sectionsWith } from './keys.ts';
import type { RawProblem } from './problem.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly (string | number)[];

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'a section with keys',
};

/** One or more problems for an issue; an issue about unknown keys gives one for each key. `values` are what was checked. */
export function problemsOf(issue: Issue, values: unknown): readonly RawProblem[] {
  const path = plainPath(issue.path);
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key));
  const found = valueAt(values, path);
  return [{ path, message: messageOf(issue, found, path), hint: hintFor(path) }];
}

/** A zod path without symbols, which YAML cannot hold. */
export function plainPath(path: readonly PropertyKey[]): Path {
  return path.filter((part) => typeof part !== 'symbol');
}

/** The value at a path, undefined where there is none. */
export function valueAt(values: unknown, path: Path): unknown {
  let at = values;
  for (const part of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<string | number, unknown>)[part];
  }
  return at;
}

function messageOf(issue: Issue, found: unknown, path: Path): string {
  if (found === undefined) return 'is missing';
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${kinds[keyAt(path)?.type === 'integer' ? 'int' : issue.expected] ?? issue.expected}, found ${shown(found)}`;
    case 'too_small':
      return bound('at least', issue.minimum, issue.origin, found);
    case 'too_big':
      return bound('at most', issue.maximum, issue.origin, found);
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}; found ${shown(found)}`;
    default:
      return `${issue.message}, found ${shown(found)}`;
  }
}

function bound(word: string, limit: number | bigint, origin: string, found: unknown): string {
  if (origin === 'array') return `must have ${word} ${limit} ${limit === 1 ? 'entry' : 'entries'}`;
  if (origin === 'string') return `must have ${word} ${limit} characters`;
  return `must be ${word} ${limit}, found ${shown(found)}`;
}

// Values are shown short: they may be long, and a list or section says enough by its kind.
function shown(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a section';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function hintFor(path: Path): string {
  const about = keyAt(path)?.description;
  if (about === undefined) return 'docs/configuration.md describes every key';
  const fallback = keyAt(path)?.default;
  const simple = typeof fallback === 'string' || typeof fallback === 'number' || typeof fallback === 'boolean';
  return simple ? `${about} Leave it out for ${fallback}.` : about;
}

function unknownKey(path: Path, key: string): RawProblem {
  const known = keysAt(path);
  const near = closest(key, known);
  const elsewhere = sectionsWith(key).filter((section) => section !== path[0]);
  const hint =
    near !== null
      ? `did you mean ${near}?`
      : elsewhere.length > 0
        ? `it belongs under ${elsewhere.map((section) => `\`${section}:\``).join(' or ')}`
        : `known keys here: ${known.join(', ')}`;
  return { path: [...path, key], message: 'unknown key', hint };
}
