// File + environment -> Config, or every problem at once: wrong keys and values first, then the relations between those that are right.
import { hostname } from 'node:os';
import { type Env, withEnvironment } from './env.ts';
import { type ParsedFile, parseText, readText } from './file.ts';
import { plainPath, problemsOf, valueAt } from './issues.ts';
import { type Problem, pathText, type RawProblem } from './problem.ts';
import { resolveConfig } from './resolve.ts';
import { brokenRules } from './rules.ts';
import { type Config, type FileConfig, fileSchema } from './schema.ts';

/** What came out: a configuration in effect, or all its problems (never none). `set` are the values that file and environment set. */
export type LoadResult =
  | { readonly config: Config; readonly set: Readonly<Record<string, unknown>> }
  | { readonly problems: readonly Problem[] };

/**
 * Reads and checks a configuration file with the overrides of `env` (OLLAMA_HA_SECTION__KEY). Never throws for what the file holds.
 * `hostName` is the default of `node.id`.
 */
export function loadConfig(path: string, env: Env, hostName: string = hostname()): LoadResult {
  const read = readText(path);
  if ('problem' in read) return { problems: [read.problem] };
  return parseConfig(read.text, path, env, hostName);
}

/** As loadConfig, for a text; `source` is the file name in messages. */
export function parseConfig(text: string, source: string, env: Env, hostName: string = hostname()): LoadResult {
  const file = parseText(text, source);
  if ('problems' in file) return file;
  const { values, origins, problems } = withEnvironment(file.values, env);
  const hostId = hostName.split('.')[0]?.toLowerCase() ?? '';
  const checked = check(values, hostId);
  const found = [...checked.problems.map((problem) => placed(problem, file, source, origins)), ...problems];
  if (found.length > 0 || checked.config === null) return { problems: found };
  return { config: checked.config, set: values };
}

function check(values: Record<string, unknown>, hostId: string): { config: Config | null; problems: readonly RawProblem[] } {
  const parsed = fileSchema.safeParse(values);
  const hostProblems = valueAt(values, ['node', 'id']) === undefined ? hostIdProblems(hostId) : [];
  const broken = hostProblems.map((problem) => pathText(problem.path));
  if (parsed.success) {
    const config = resolveConfig(parsed.data, hostId);
    return { config, problems: [...hostProblems, ...brokenRules(config, broken)] };
  }
  const issues = parsed.error.issues.flatMap((issue) => problemsOf(issue, values));
  const rest = withoutBroken(values, hostId, broken);
  const relations = rest === null ? [] : brokenRules(resolveConfig(rest.file, hostId), rest.broken);
  return { config: null, problems: [...issues, ...hostProblems, ...relations] };
}

function hostIdProblems(hostId: string): readonly RawProblem[] {
  if (fileSchema.shape.node.safeParse({ id: hostId }).success) return [];
  return [
    { path: ['node', 'id'], message: `is missing, and the host name ${JSON.stringify(hostId)} is no DNS label`, hint: 'set node.id' },
  ];
}

// Stand-ins for required keys, so that rules about other keys can still be judged. Rules that would read them are left out.
const standIns: Readonly<Record<string, unknown>> = {
  cluster: { name: 'unset', nodes: [{ id: 'unset', address: '0.0.0.0' }] },
  'cluster.name': 'unset',
  'cluster.nodes': [{ id: 'unset', address: '0.0.0.0' }],
  'vip.interface': 'unset',
};

// The values with every wrong one removed, round after round, until zod accepts the rest; null if it never does.
function withoutBroken(
  values: Record<string, unknown>,
  hostId: string,
  known: readonly string[],
): { file: FileConfig; broken: string[] } | null {
  const broken = [...known];
  const rest = structuredClone(values);
  for (let round = 0; round < 6; round++) {
    const parsed = fileSchema.safeParse(rest);
    if (parsed.success) return { file: parsed.data, broken };
    for (const issue of parsed.error.issues) {
      const path = plainPath(issue.path);
      if (issue.code === 'unrecognized_keys') for (const key of issue.keys) remove(rest, [...path, key]);
      else broken.push(pathText(dropped(rest, path, hostId)));
    }
  }
  return null;
}

// Removes what is wrong (of a list, the whole list) or puts a stand-in where a required key is missing. Returns the path it spoilt.
function dropped(rest: Record<string, unknown>, path: readonly (string | number)[], hostId: string): readonly (string | number)[] {
  const inList = path.findIndex((part) => typeof part === 'number');
  const target = inList === -1 ? path : path.slice(0, inList);
  const name = pathText(target);
  if (valueAt(rest, target) !== undefined) remove(rest, target);
  else if (name in standIns) put(rest, target, standIn(name, hostId));
  else remove(rest, target.slice(0, -1));
  return target;
}

function standIn(name: string, hostId: string): unknown {
  return JSON.parse(JSON.stringify(standIns[name]).replaceAll('"id":"unset"', `"id":${JSON.stringify(hostId)}`));
}

function remove(rest: Record<string, unknown>, path: readonly (string | number)[]): void {
  const parent = valueAt(rest, path.slice(0, -1));
  const last = path.at(-1);
  if (typeof parent === 'object' && parent !== null && last !== undefined) Reflect.deleteProperty(parent, last);
}

function put(rest: Record<string, unknown>, path: readonly (string | number)[], value: unknown): void {
  const parent = valueAt(rest, path.slice(0, -1));
  const last = path.at(-1);
  if (typeof parent === 'object' && parent !== null && last !== undefined) Reflect.set(parent, last, value);
}

function placed(problem: RawProblem, file: ParsedFile, source: string, origins: ReadonlyMap<string, string>): Problem {
  for (let length = problem.path.length; length > 0; length--) {
    const variable = origins.get(pathText(problem.path.slice(0, length)));
    if (variable !== undefined) return { ...named(problem), source: variable, line: 0, column: 0 };
  }
  return { ...named(problem), source, ...file.placeOf(problem.path) };
}

function named(problem: RawProblem): { path: string; message: string; hint: string } {
  return { path: pathText(problem.path), message: problem.message, hint: problem.hint };
}
