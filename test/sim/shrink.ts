// Finds the few faults that a failure needs: leaves out one after the other and keeps what still breaks the same invariant.
import { runSeed } from './run.ts';
import type { Cast, RunOptions, RunResult } from './types.ts';

/** A failure with as few faults as could be found, and its transcript. */
export type Shrunk = { readonly without: readonly number[]; readonly result: RunResult };

/** Shrinks the failure of these options; null when they do not fail. */
export function shrink(options: RunOptions, cast: Cast): Shrunk | null {
  const first = runSeed(options, cast);
  const invariant = first.violation?.invariant;
  if (first.violation === null) return null;
  const without = new Set<number>();
  const fails = () => runSeed({ ...options, without }, cast).violation?.invariant === invariant;
  // Latest faults first: whatever was scheduled after the failure goes without any harm.
  for (let pass = 0; pass < 2; pass++) {
    for (let index = first.faults.length - 1; index >= 0; index--) {
      if (without.has(index)) continue;
      without.add(index);
      if (!fails()) without.delete(index);
    }
  }
  return { without: [...without], result: runSeed({ ...options, without, trace: true }, cast) };
}
