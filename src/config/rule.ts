// What a rule over more than one key is.
import type { RawProblem } from './problem.ts';
import type { Config } from './schema.ts';

/** One relation between keys. */
export type Rule = {
  /** Dotted paths it reads; a whole section counts with everything below it. */
  readonly needs: readonly string[];
  readonly check: (config: Config) => readonly RawProblem[];
};

/** A problem at a dotted path without list entries. */
export function problemAt(path: string, message: string, hint: string): RawProblem {
  return { path: path.split('.'), message, hint };
}
