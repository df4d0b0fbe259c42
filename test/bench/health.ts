// `make bench-health REPORT=FILE`: every failure of one Ollama that a lab can make, several times: time until it is named, time until another node
// answers at the VIP; then a storm of users, and how many false alarms it caused. Asserts nothing.
// Environment: RUNS (3; of failures without a goal for their time a third of them, at least one), CASES (ids with commas; all), PRESET (fast), STORM_SECONDS (30), REPORT (/tmp/health.json).
import { writeFileSync } from 'node:fs';
import { presetNames } from '../../src/config/presets.ts';
import type { Lab } from '../lab/lab.ts';
import { vipAddress } from '../lab/names.ts';
import { createProductLab } from '../lab/product-lab.ts';
import { percentile } from './failover/figures.ts';
import { healthCases } from './health/cases.ts';
import { labHealth } from './health/lab-health.ts';
import { prepare } from './health/patient.ts';
import { type Found, runCase, storm } from './health/session.ts';

type Row = {
  readonly id: string;
  readonly detectMs: { readonly p50: number; readonly max: number };
  readonly limitMs: number;
  readonly verdict: string;
  readonly moved: boolean;
  /** From the fault to the address on another node; null = it stayed. */
  readonly moveMs: { readonly p50: number; readonly max: number } | null;
  readonly runs: number;
  readonly problems: readonly string[];
};

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name}=${text}: use a whole number from 1`);
  return value;
}

async function measure(lab: Lab, runs: number, ids: readonly string[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const failure of healthCases.filter((c) => ids.length === 0 || ids.includes(c.id))) {
    const found: Found[] = [];
    const problems: string[] = [];
    const times = failure.goal === true ? runs : Math.max(1, Math.floor(runs / 3));
    for (let n = 1; n <= times; n += 1) {
      try {
        const one = await runCase(lab, failure);
        found.push(one);
        const move = one.movedMs === null ? 'stays' : `moved after ${one.movedMs.toFixed(0)} ms`;
        process.stdout.write(
          `${failure.id} ${n}/${times}: named after ${one.detectMs.toFixed(0)} ms (limit ${failure.limitMs}), ${move}\n`,
        );
      } catch (error) {
        problems.push(error instanceof Error ? error.message : String(error));
        process.stdout.write(`${failure.id} ${n}/${times}: FAILED: ${problems.at(-1)}\n`);
      }
    }
    rows.push(rowOf(failure, found, problems));
  }
  return rows;
}

function rowOf(failure: (typeof healthCases)[number], found: readonly Found[], problems: readonly string[]): Row {
  const moves = found.flatMap((f) => f.movedMs ?? []);
  return {
    id: failure.id,
    detectMs: summary(found.map((f) => f.detectMs)),
    limitMs: failure.limitMs,
    verdict: found.at(-1)?.verdict ?? '',
    moved: moves.length > 0,
    moveMs: moves.length === 0 ? null : summary(moves),
    runs: found.length,
    problems,
  };
}

function summary(values: readonly number[]): { p50: number; max: number } {
  return { p50: Math.round(percentile(values, 0.5)), max: Math.round(percentile(values, 1)) };
}

async function main(env: NodeJS.ProcessEnv): Promise<void> {
  const runs = wholeNumber('RUNS', env.RUNS || '3');
  const seconds = wholeNumber('STORM_SECONDS', env.STORM_SECONDS || '30');
  const preset = presetNames.find((name) => name === (env.PRESET || 'fast'));
  if (preset === undefined) throw new Error(`PRESET=${env.PRESET}: use ${presetNames.join(', ')}`);
  const ids = (env.CASES ?? '').split(',').filter((id) => id !== '');
  const unknown = ids.find((id) => !healthCases.some((c) => c.id === id));
  if (unknown !== undefined) throw new Error(`CASES: ${unknown} is none of ${healthCases.map((c) => c.id).join(', ')}`);
  await using lab = await createProductLab({ id: 'benchh', nodes: 3, preset, config: { health: labHealth } });
  await prepare(lab);
  const failures = await measure(lab, runs, ids);
  const crowd = await storm(lab, vipAddress, seconds);
  const falseAlarms = crowd.alarms.length + crowd.failovers;
  const report = env.REPORT || '/tmp/health.json';
  writeFileSync(report, `${JSON.stringify({ failures, falseAlarms, storm: crowd }, null, 2)}\n`);
  process.stdout.write(
    `storm of ${seconds} s: ${crowd.answers} answers, ${crowd.failed} failed, ${falseAlarms} false alarms\nFigures: ${report}\n`,
  );
}

try {
  await main(process.env);
} catch (error) {
  process.stderr.write(`bench-health: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
