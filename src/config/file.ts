// The YAML file: read with a bound, parsed without surprises, and every key's place remembered for messages.
import { readFileSync, statSync } from 'node:fs';
import { type Document, isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import { type Problem, problemOf } from './problem.ts';

const fileBytesMax = 262_144;

type Path = readonly (string | number)[];

/** A parsed file: its values, and the place of a path in it (line and column from 1, 0 = nowhere near). */
export type ParsedFile = {
  readonly values: Record<string, unknown>;
  readonly placeOf: (path: Path) => { readonly line: number; readonly column: number };
};

/** The text of a configuration file of at most 256 KiB, or why there is none. */
export function readText(path: string): { readonly text: string } | { readonly problem: Problem } {
  try {
    const { size } = statSync(path);
    if (size > fileBytesMax) return { problem: problemOf(path, `is larger than ${fileBytesMax} bytes`, 'name the configuration file') };
    return { text: readFileSync(path, 'utf8') };
  } catch (cause) {
    return { problem: unreadable(path, (cause as NodeJS.ErrnoException).code ?? 'error') };
  }
}

/** Parses YAML 1.2. A section without any key under it counts as present and empty. */
export function parseText(text: string, source: string): ParsedFile | { readonly problems: readonly Problem[] } {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2', merge: false });
  if (doc.errors.length > 0) {
    return { problems: doc.errors.map((error) => syntaxProblem(source, error.message, lines.linePos(error.pos[0]))) };
  }
  const values = valuesOf(doc);
  if (values === 'aliases') return { problems: [problemOf(source, 'repeats itself by aliases too often', 'write the values out')] };
  if (values === null) {
    return { problems: [problemOf(source, 'is not a list of sections (key: value)', 'agentctl init writes a working file to start from')] };
  }
  return { values, placeOf: (path) => placeIn(doc, lines, path) };
}

function valuesOf(doc: Document): Record<string, unknown> | 'aliases' | null {
  let content: unknown;
  try {
    content = doc.toJS({ maxAliasCount: 100 });
  } catch {
    return 'aliases';
  }
  if (content === null || content === undefined) return {};
  if (typeof content !== 'object' || Array.isArray(content)) return null;
  return Object.fromEntries(Object.entries(content).map(([key, value]) => [key, value ?? {}]));
}

// The key itself where there is one, else the nearest thing above it.
function placeIn(doc: Document, lines: LineCounter, path: Path): { line: number; column: number } {
  for (let length = path.length; length > 0; length--) {
    const offset = offsetOf(doc, path.slice(0, length));
    if (offset === null) continue;
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  }
  return { line: 0, column: 0 };
}

function offsetOf(doc: Document, path: Path): number | null {
  const last = path.at(-1);
  const parent = path.length === 1 ? doc.contents : doc.getIn(path.slice(0, -1), true);
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isScalar(item.key) && String(item.key.value) === String(last));
    return isScalar(pair?.key) ? (pair.key.range?.[0] ?? null) : null;
  }
  const node = doc.getIn(path, true) as Node | undefined;
  return node?.range?.[0] ?? null;
}

function syntaxProblem(source: string, message: string, at: { line: number; col: number }): Problem {
  const hint = 'indent with spaces, one key per line; agentctl init writes a working file to compare with';
  return { path: '', message: `is not valid YAML: ${message.split('\n')[0]}`, hint, source, line: at.line, column: at.col };
}

function unreadable(path: string, code: string): Problem {
  if (code === 'ENOENT') return problemOf(path, 'there is no such file', 'agentctl init writes one; --config names another');
  if (code === 'EACCES') return problemOf(path, 'may not be read by this user', 'run as root or as the user of the agent');
  return problemOf(path, `cannot be read (${code})`, 'name a readable file');
}
