// Gathers runs into results: the JSON, the table, the pictures.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Table from 'cli-table3';
import type { PresetName } from '../../../src/config/presets.ts';
import { type Phases, percentile } from './figures.ts';
import { type Target, targetOf } from './targets.ts';

/** One line of the JSON. An outage that did not end within its run counts for as long as the run looked, and once in `unrecovered`. */
export type Result = {
  readonly system: 'ollama-ha' | 'keepalived-script' | 'nginx';
  readonly case: string;
  readonly preset: string;
  readonly runs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly twoOwnersMs: number;
  readonly failedRequests: number;
  readonly unrecovered: number;
  /** Longest time without service after the fault's end. */
  readonly healMaxMs: number;
  /** Runs in which the role moved. */
  readonly moves: number;
  readonly targetMs: Target | null;
  readonly met: boolean | null;
  readonly details: readonly RunDetail[];
};

/** One run in the JSON. */
export type RunDetail = {
  readonly outageMs: number | null;
  /** How long the run looked for the end of an outage. */
  readonly lookedMs: number;
  readonly healOutageMs: number | null;
  readonly twoOwnersMs: number;
  readonly failedRequests: number;
  readonly moved: boolean;
  readonly from: string;
  readonly to: string;
  readonly epochBefore: number;
  readonly epochs: readonly { readonly epoch: number; readonly node: string; readonly cause: string }[];
  readonly phases: Phases | null;
  readonly problem: string;
};

/** Sums the runs of a case up. `preset` is '' for baselines. */
export function resultOf(system: Result['system'], name: string, preset: PresetName | '', details: readonly RunDetail[]): Result {
  const outages = details.map((d) => d.outageMs ?? d.lookedMs).map(Math.round);
  const targetMs = preset === '' ? null : targetOf(name, preset);
  const twoOwnersMs = Math.max(0, ...details.map((d) => d.twoOwnersMs));
  const moves = details.filter((d) => d.moved).length;
  const p99Ms = percentile(outages, 0.99);
  const unrecovered = details.filter((d) => d.outageMs === null || d.healOutageMs === null).length;
  return {
    system,
    case: name,
    preset,
    runs: details.length,
    p50Ms: percentile(outages, 0.5),
    p99Ms,
    maxMs: percentile(outages, 1),
    twoOwnersMs: Math.round(twoOwnersMs),
    failedRequests: details.reduce((sum, d) => sum + d.failedRequests, 0),
    unrecovered,
    healMaxMs: Math.max(0, ...details.map((d) => Math.round(d.healOutageMs ?? 0))),
    moves,
    targetMs,
    met:
      preset === '' ? null : details.length === 0 ? false : metBy(targetMs, { p99Ms, moves, good: twoOwnersMs === 0 && unrecovered === 0 }),
    details,
  };
}

function metBy(target: Target | null, seen: { readonly p99Ms: number; readonly moves: number; readonly good: boolean }): boolean | null {
  if (!seen.good) return false;
  if (target === null) return null;
  return target === 'no failover' ? seen.moves === 0 : seen.p99Ms <= target;
}

/** The table of all results. */
export function tableText(results: readonly Result[]): string {
  const table = new Table({
    head: ['system', 'case', 'preset', 'runs', 'p50 ms', 'p99 ms', 'max ms', 'target', 'after heal', 'two owners', 'failed', 'moves', ''],
    style: { head: [], border: [], compact: true },
  });
  for (const r of results) {
    const max = r.unrecovered > 0 ? `> ${r.maxMs}` : r.maxMs;
    const verdict = r.met === null ? 'report' : r.met ? 'pass' : 'MISS';
    const figures = [r.runs, r.p50Ms, r.p99Ms, max, r.targetMs ?? '-', r.healMaxMs, r.twoOwnersMs, r.failedRequests, r.moves];
    table.push([r.system, r.case, r.preset, ...figures, r.system === 'ollama-ha' ? verdict : '']);
  }
  return table.toString();
}

/** Writes the JSON whole. */
export function writeReport(file: string, results: readonly Result[]): void {
  writeFileSync(file, `${JSON.stringify({ results }, null, 2)}\n`);
}

/** Writes one picture, and the agents' logs beside it. */
export function writePicture(directory: string, name: string, svg: string, log = ''): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${name}.svg`), svg);
  if (log !== '') writeFileSync(join(directory, `${name}.log`), log);
}
