// Rules over more than one key. A rule says which keys it reads, so that it is left out, and only it, where one of them is wrong by itself.
import type { RawProblem } from './problem.ts';
import { clusterRules } from './rules-cluster.ts';
import { leaseRules } from './rules-lease.ts';
import type { Config } from './schema.ts';

/** Everything that the rules find; `broken` are dotted paths whose values are already known to be wrong. */
export function brokenRules(config: Config, broken: readonly string[]): readonly RawProblem[] {
  return [...clusterRules, ...leaseRules]
    .filter((rule) => !rule.needs.some((need) => broken.some((path) => overlaps(need, path))))
    .flatMap((rule) => rule.check(config));
}

function overlaps(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}.`) || b.startsWith(`${a}.`);
}
