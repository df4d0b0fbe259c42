// node test/sim/main.ts: runs many seeds and writes a report.
//
// Environment: SEEDS=2000 SEED=1 (first one) REPORT=FILE; restrictions PRESET=ultra|fast|standard|relaxed N=1|3|5 MODE=storm|off|lockdelay|healthy|clean
// AGENTS=4 KIND=mix|lease|core CORE_EVERY=8 (of a mix, so many seeds apart) CHECK=L1,L3 (these checkers only). Exit code 1 when an invariant was broken. A failure prints its seed, the faults it needs and the end of its transcript.
import { writeFileSync } from 'node:fs';
import { type AgentKind, castOf, kindOf, PRODUCTION_CORE } from './agents.ts';
import { runCampaign } from './campaign.ts';
import { type Filter, filterFrom, optionsOf, wholeNumber } from './plan.ts';
import { PRESETS } from './presets.ts';
import { shrink } from './shrink.ts';
import { type Failure, spreadOf, type Tally } from './tally.ts';
import { expectedFailover } from './times.ts';

const SHRINK_MAX = 3;
const LINES_MAX = 80;

type Explained = Failure & { readonly faults: readonly string[]; readonly transcript: readonly string[] };

async function explain(failure: Failure, filter: Filter, kind: AgentKind | 'mix'): Promise<Explained> {
  const cast = await castOf(kindOf(kind, failure.seed), PRODUCTION_CORE);
  const shrunk = shrink(optionsOf(failure.seed, filter), cast);
  if (shrunk === null) return { ...failure, faults: ['it does not fail again: the run is not reproducible'], transcript: [] };
  return { ...failure, faults: shrunk.result.faults, transcript: shrunk.result.transcript.slice(-LINES_MAX) };
}

function reportOf(tally: Tally, seconds: number, failures: readonly (Failure | Explained)[]) {
  const clean = Object.values(tally.failover).flat();
  const byPreset = (lists: Tally['failover']) =>
    Object.fromEntries(Object.entries(lists).map(([preset, times]) => [preset, spreadOf(times)]));
  return {
    seeds: tally.seeds,
    violations: tally.failures.length,
    seedsPerSecond: Math.round((10 * tally.seeds) / seconds) / 10,
    activeShare: Math.round((1000 * tally.activeShare) / Math.max(1, tally.seeds)) / 1000,
    // Of clean runs (kills and handovers alone) where there are any: in a storm a failover also waits for other faults to end.
    failoverMs: spreadOf(clean.length > 0 ? clean : tally.stormFailover),
    failoverMsByPreset: byPreset(tally.failover),
    failoverMsExpected: Object.fromEntries(PRESETS.map((preset) => [preset, expectedFailover(preset)])),
    handoverMsByPreset: byPreset(tally.handover),
    stormFailoverMs: spreadOf(tally.stormFailover),
    elections: tally.elections,
    failsafeExtensions: tally.failsafeExtensions,
    epochRegressionsAfterLoss: tally.epochRegressions,
    failures,
  };
}

function kindFrom(text: string | undefined): AgentKind | 'mix' {
  if (text === undefined || text === '') return 'mix';
  if (text === 'lease' || text === 'core' || text === 'mix') return text;
  throw new Error(`KIND=${text} is not known; one of mix, lease, core`);
}

async function main(env: NodeJS.ProcessEnv): Promise<number> {
  const filter = filterFrom(env);
  const kind = kindFrom(env.KIND);
  const seeds = wholeNumber(env, 'SEEDS', 2000);
  const first = wholeNumber(env, 'SEED', 1);
  const begun = performance.now();
  const tally = await runCampaign({
    core: PRODUCTION_CORE,
    kind,
    filter,
    first,
    seeds,
    failuresMax: 100,
    chunk: Math.min(60, Math.ceil(seeds / 8)),
  });
  const seconds = (performance.now() - begun) / 1000;
  const failures: (Failure | Explained)[] = [];
  for (const [i, failure] of tally.failures.entries()) failures.push(i < SHRINK_MAX ? await explain(failure, filter, kind) : failure);
  const report = reportOf(tally, seconds, failures);
  const { failures: _, ...numbers } = report;
  console.log(JSON.stringify(numbers, null, 2));
  for (const failure of failures) {
    console.log(
      `\n${failure.invariant} violated: seed ${failure.seed} preset ${failure.preset} N=${failure.servers} mode ${failure.mode} at ${failure.atMs.toFixed(1)} ms`,
    );
    console.log(`  ${failure.text}`);
    if ('faults' in failure)
      console.log(`  faults needed:\n    ${failure.faults.join('\n    ')}\n  transcript:\n    ${failure.transcript.join('\n    ')}`);
  }
  if (env.REPORT !== undefined && env.REPORT !== '') writeFileSync(env.REPORT, `${JSON.stringify(report, null, 2)}\n`);
  return report.violations === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.env);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
