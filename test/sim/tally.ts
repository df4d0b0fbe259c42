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

type Lists = Record<string, number[]>;

/** Sums of runs; grows in place, since a long campaign collects millions of times. Times in ms. */
export type Tally = {
  seeds: number;
  readonly failures: Failure[];
  activeShare: number;
  elections: number;
  failsafeExtensions: number;
  epochRegressions: number;
  turns: number;
  /** By preset: failovers and handovers of clean runs; then the failovers of all others. */
  readonly failover: Lists;
  readonly handover: Lists;
  readonly stormFailover: number[];
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

function append<T>(to: T[], more: readonly T[]): void {
  for (const item of more) to.push(item);
}

function appendLists(to: Lists, more: Readonly<Record<string, readonly number[]>>): void {
  for (const [key, list] of Object.entries(more)) {
    to[key] ??= [];
    append(to[key], list);
  }
}

/** Adds the sums of other runs. */
export function addTally(to: Tally, more: Tally): void {
  to.seeds += more.seeds;
  to.activeShare += more.activeShare;
  to.elections += more.elections;
  to.failsafeExtensions += more.failsafeExtensions;
  to.epochRegressions += more.epochRegressions;
  to.turns += more.turns;
  append(to.failures, more.failures);
  append(to.stormFailover, more.stormFailover);
  appendLists(to.failover, more.failover);
  appendLists(to.handover, more.handover);
}

/** Adds one run. */
export function addRun(to: Tally, { seed, preset, servers, mode }: RunOptions, result: RunResult): void {
  const { violation } = result;
  to.seeds += 1;
  to.activeShare += result.activeShare;
  to.elections += result.elections;
  to.failsafeExtensions += result.failsafeExtensions;
  to.epochRegressions += result.epochRegressions;
  to.turns += result.turns;
  if (mode === 'clean') {
    appendLists(to.failover, { [preset]: result.failoverMs });
    appendLists(to.handover, { [preset]: result.handoverMs });
  } else append(to.stormFailover, result.failoverMs);
  if (violation === null) return;
  to.failures.push({ seed, preset, servers, mode, invariant: violation.invariant, atMs: violation.at, text: violation.text });
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
