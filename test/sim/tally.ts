// Sums of many runs, and what the report says of them.
import type { PresetName } from './presets.ts';
import type { RunOptions, RunResult } from './types.ts';

/** A run that broke an invariant. */
export type Failure = {
  readonly seed: number;
  readonly preset: PresetName;
  readonly servers: number;
  readonly mode: string;
  readonly invariant: string;
  readonly atMs: number;
  readonly text: string;
};

/** Sums of runs. Times in ms. */
export type Tally = {
  readonly seeds: number;
  readonly failures: readonly Failure[];
  readonly activeShare: number;
  readonly elections: number;
  readonly failsafeExtensions: number;
  readonly epochRegressions: number;
  readonly turns: number;
  /** By preset: failovers and handovers of clean runs, and failovers of all others. */
  readonly failover: Readonly<Record<string, readonly number[]>>;
  readonly handover: Readonly<Record<string, readonly number[]>>;
  readonly stormFailover: readonly number[];
};

/** Nothing run yet. */
export function emptyTally(): Tally {
  return {
    seeds: 0,
    failures: [],
    activeShare: 0,
    elections: 0,
    failsafeExtensions: 0,
    epochRegressions: 0,
    turns: 0,
    failover: {},
    handover: {},
    stormFailover: [],
  };
}

type Lists = Readonly<Record<string, readonly number[]>>;

function joined(a: Lists, b: Lists): Lists {
  const out: Record<string, readonly number[]> = { ...a };
  for (const [key, list] of Object.entries(b)) out[key] = [...(out[key] ?? []), ...list];
  return out;
}

/** Both together. */
export function addTallies(a: Tally, b: Tally): Tally {
  return {
    seeds: a.seeds + b.seeds,
    failures: [...a.failures, ...b.failures],
    activeShare: a.activeShare + b.activeShare,
    elections: a.elections + b.elections,
    failsafeExtensions: a.failsafeExtensions + b.failsafeExtensions,
    epochRegressions: a.epochRegressions + b.epochRegressions,
    turns: a.turns + b.turns,
    failover: joined(a.failover, b.failover),
    handover: joined(a.handover, b.handover),
    stormFailover: [...a.stormFailover, ...b.stormFailover],
  };
}

/** One more run. */
export function addRun(tally: Tally, options: RunOptions, result: RunResult): Tally {
  const { violation } = result;
  const { seed, preset, servers, mode } = options;
  const failures: Failure[] =
    violation === null ? [] : [{ seed, preset, servers, mode, invariant: violation.invariant, atMs: violation.at, text: violation.text }];
  const clean = mode === 'clean';
  return addTallies(tally, {
    seeds: 1,
    failures,
    activeShare: result.activeShare,
    elections: result.elections,
    failsafeExtensions: result.failsafeExtensions,
    epochRegressions: result.epochRegressions,
    turns: result.turns,
    failover: clean ? { [preset]: result.failoverMs } : {},
    handover: clean ? { [preset]: result.handoverMs } : {},
    stormFailover: clean ? [] : result.failoverMs,
  });
}

/** Three points of a distribution, ms; null when nothing was measured. */
export type Spread = { readonly p50: number | null; readonly p99: number | null; readonly max: number | null };

/** The spread of some times. */
export function spreadOf(times: readonly number[]): Spread {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    return value === undefined ? null : Math.round(value);
  };
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
