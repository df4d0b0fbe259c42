// What is wrong with a configuration, said so that it can be repaired without reading the source.

/** One thing wrong with the configuration. */
export type Problem = {
  /** Where in the tree, e.g. `cluster.nodes[1].address`; '' = the file as a whole. */
  readonly path: string;
  /** What is wrong, without the path. */
  readonly message: string;
  /** What to do about it. */
  readonly hint: string;
  /** File or environment variable the value came from. */
  readonly source: string;
  /** Place in the file, counted from 1; 0 = not known. */
  readonly line: number;
  readonly column: number;
};

/** A problem before its place is known: path as keys and indexes. */
export type RawProblem = { readonly path: readonly (string | number)[]; readonly message: string; readonly hint: string };

/** Thrown where a caller can only go on with a valid configuration or secret; carries every problem found. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(problemLine).join('\n'));
    this.problems = problems;
  }
}

/** `['cluster', 'nodes', 1, 'id']` as `cluster.nodes[1].id`. */
export function pathText(path: readonly (string | number)[]): string {
  return path.map((part, at) => (typeof part === 'number' ? `[${part}]` : at === 0 ? part : `.${part}`)).join('');
}

/** `agent.yaml:12:5: lease.ttlMs: must be at least 500`: the message in one line, without the hint. */
export function problemLine(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.source}:${problem.line}:${problem.column}` : problem.source;
  return [place, problem.path, problem.message].filter((part) => part !== '').join(': ');
}

/** A problem without a place inside a file. */
export function problemOf(source: string, message: string, hint: string): Problem {
  return { path: '', message, hint, source, line: 0, column: 0 };
}
