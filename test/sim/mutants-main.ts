// node test/sim/mutants-main.ts: every mutant must be caught. Environment: REPORT=FILE, ONLY=M1,M6 for some of them. Exit code 1 when one escapes.
import { writeFileSync } from 'node:fs';
import { MUTANTS } from './mutants/all.ts';
import { type Hunted, hunt } from './mutants/hunt.ts';
import { makeMutant } from './mutants/mutant.ts';

async function main(env: NodeJS.ProcessEnv): Promise<number> {
  const only = env.ONLY === undefined || env.ONLY === '' ? null : env.ONLY.split(',');
  const unknown = only?.filter((id) => !MUTANTS.some((m) => m.id === id)) ?? [];
  if (unknown.length > 0)
    throw new Error(`ONLY names unknown mutants: ${unknown.join(', ')}; known are ${MUTANTS.map((m) => m.id).join(', ')}`);
  // A patch that does not fit any more is told before an hour of hunting, not after it.
  for (const mutant of MUTANTS) makeMutant(mutant).remove();
  const mutants: Hunted[] = [];
  for (const mutant of MUTANTS) {
    if (only !== null && !only.includes(mutant.id)) continue;
    const hunted = await hunt(mutant);
    mutants.push(hunted);
    const fate = hunted.caught ? `caught by ${hunted.invariant} within ${hunted.seeds} seeds` : `ESCAPED ${hunted.seeds} seeds`;
    console.log(`${hunted.id.padEnd(4)} ${fate.padEnd(36)} ${hunted.seconds} s  ${hunted.what}\n       ${hunted.text}`);
  }
  if (env.REPORT !== undefined && env.REPORT !== '') writeFileSync(env.REPORT, `${JSON.stringify({ mutants }, null, 2)}\n`);
  return mutants.every((m) => m.caught) ? 0 : 1;
}

try {
  process.exitCode = await main(process.env);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
