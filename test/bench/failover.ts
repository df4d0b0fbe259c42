// `make bench-failover`: the failure matrix. Every fault in a lab of real parts, measured by a client and an ARP probe every 5 ms; then what a
// user would build instead, in the same lab. Asserts nothing: it prints a table with the targets, and writes JSON and a picture of every run.
// Environment: PRESET (fast; several with commas), RUNS (5), CASES (names with commas; all), REPORT (FILE; pictures go beside it),
// BASELINE_RUNS (RUNS, 0 = none), LOAD_SECONDS (600), SHORT=1 (the short forms that the tests use).
import { basename, dirname, join } from 'node:path';
import { type PresetName, presetNames } from '../../src/config/presets.ts';
import { macOf } from '../lab/names.ts';
import { runBaselines } from './failover/baselines.ts';
import { casesNamed } from './failover/cases.ts';
import { type Result, type RunDetail, resultOf, tableText, writePicture, writeReport } from './failover/report.ts';
import type { FaultCase } from './failover/scene.ts';
import { openSession, type Run, runFault, type Session } from './failover/session.ts';
import { timelineSvg } from './failover/timeline.ts';
import { type Timing, timingOf } from './failover/timing.ts';

type Plan = {
  readonly presets: readonly PresetName[];
  readonly runs: number;
  readonly baselineRuns: number;
  readonly names: readonly string[];
  readonly short: boolean;
  readonly report: string;
  readonly pictures: string;
};

const attemptsMax = 2;

function planOf(env: NodeJS.ProcessEnv): Plan {
  const words = (text: string | undefined): string[] => (text ?? '').split(',').filter((word) => word !== '');
  const wanted = words(env.PRESET || 'fast');
  const presets = presetNames.filter((name) => wanted.includes(name));
  const unknown = wanted.find((word) => !presets.some((name) => name === word));
  if (unknown !== undefined) throw new Error(`PRESET=${unknown}: use ${presetNames.join(', ')}`);
  const runs = countOf('RUNS', env.RUNS || '5');
  const report = env.REPORT || '/tmp/failover.json';
  return {
    presets,
    runs,
    baselineRuns: countOf('BASELINE_RUNS', env.BASELINE_RUNS || String(runs)),
    names: words(env.CASES),
    short: env.SHORT === '1',
    report,
    pictures: join(dirname(report), `${basename(report, '.json')}-timelines`),
  };
}

function countOf(name: string, text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0) throw new Error(`${name}=${text}: use a whole number`);
  return count;
}

async function main(plan: Plan): Promise<void> {
  const results: Result[] = [];
  const add = (result: Result): void => {
    results.push(result);
    writeReport(plan.report, results); // also what is there when somebody ends the bench early
  };
  for (const preset of plan.presets) {
    const timing = timingOf(preset);
    for (const kind of ['plain', 'prepared'] as const) {
      const cases = casesNamed(plan.names).filter((fault) => fault.lab === kind);
      if (cases.length > 0) await runCases(plan, timing, kind, cases, add);
    }
  }
  if (plan.baselineRuns > 0) await runBaselines({ ...plan, runs: plan.baselineRuns, add, say });
  process.stdout.write(`${tableText(results)}\nFigures: ${plan.report}; pictures: ${plan.pictures}/\n`);
}

async function runCases(
  plan: Plan,
  timing: Timing,
  kind: FaultCase['lab'],
  cases: readonly FaultCase[],
  add: (result: Result) => void,
): Promise<void> {
  let session: Session | null = null;
  try {
    for (const fault of cases) {
      const details: RunDetail[] = [];
      const runs = fault.once ? 1 : plan.runs;
      for (let n = 1, attempts = 0; n <= runs; n += 1) {
        try {
          session ??= await openSession('fo', kind, timing);
          const run = await runFault(session, fault, plan.short);
          details.push(detailOf(run));
          draw(plan, timing.preset, run, n, session);
          say(`${timing.preset} ${fault.name} ${n}/${runs}: ${told(run)}`);
          attempts = 0;
        } catch (error) {
          // A lab that does not get well again is not measured any further: a new one, and once more.
          say(`${timing.preset} ${fault.name} ${n}/${runs}: FAILED: ${error instanceof Error ? error.message : String(error)}`);
          await session?.[Symbol.asyncDispose]();
          session = null;
          attempts += 1;
          if (attempts < attemptsMax) n -= 1;
        }
      }
      add(resultOf('ollama-ha', fault.name, timing.preset, details));
    }
  } finally {
    await session?.[Symbol.asyncDispose]();
  }
}

function draw(plan: Plan, preset: string, run: Run, n: number, session: Session): void {
  const hosts = session.lab.hosts.map(({ name }, i) => ({ name, mac: macOf(i + 1) }));
  const title = `ollama-ha, preset ${preset}, ${run.fault}, run ${n}: ${told(run)}`;
  writePicture(plan.pictures, `ollama-ha-${preset}-${run.fault}-${n}`, timelineSvg(run, { title, hosts }), run.log);
}

function told(run: Run): string {
  const p = run.phases;
  const ms = (value: number | null): string => (value === null ? '-' : value.toFixed(0));
  const phases = `detect ${ms(p.detectMs)} claim ${ms(p.claimMs)} fence ${ms(p.fenceMs)} address ${ms(p.addressMs)} announce ${ms(p.announceMs)} revoke ${ms(p.revokeMs)}`;
  const moved = run.epochs.length === 0 ? `${run.from} stays` : `${run.from} -> ${run.epochs.map((e) => `${e.node}`).join(' -> ')}`;
  const epochs = [run.epochBefore, ...run.epochs.map((e) => e.epoch)].map((e) => e % 1000).join(' ');
  return [
    `outage ${run.outageMs.toFixed(0)} ms, after heal ${run.healOutageMs.toFixed(0)} ms, ${run.failedRequests} failed, two owners ${run.twoOwnersMs.toFixed(0)} ms`,
    `${moved} (epochs ..${epochs}${p.failedClaims > 0 ? `, ${p.failedClaims} failed claims` : ''})`,
    phases,
    ...(run.problem === '' ? [] : [`PROBLEM: ${run.problem}`]),
  ].join('; ');
}

function detailOf(run: Run): RunDetail {
  const finite = (value: number): number | null => (Number.isFinite(value) ? Math.round(value) : null);
  const end = Math.min(run.healedAt, run.endedAt);
  return {
    outageMs: finite(run.outageMs),
    lookedMs: Math.round(end - run.faultAt),
    healOutageMs: finite(run.healOutageMs),
    twoOwnersMs: run.twoOwnersMs,
    failedRequests: run.failedRequests,
    moved: run.epochs.length > 0,
    from: run.from,
    to: run.to,
    epochBefore: run.epochBefore,
    epochs: run.epochs,
    phases: run.phases,
    problem: run.problem,
  };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  await main(planOf(process.env));
} catch (error) {
  process.stderr.write(`bench-failover: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
