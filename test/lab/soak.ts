// `make soak`: 64 users stream slow tokens from the VIP of a lab for five minutes; not one failover, not one alarm. Environment: SECONDS (300).
import { labHealth } from '../bench/health/lab-health.ts';
import { prepare } from '../bench/health/patient.ts';
import { storm } from '../bench/health/session.ts';
import { vipAddress } from './names.ts';
import { createProductLab } from './product-lab.ts';

try {
  const seconds = Number(process.env.SECONDS || '300');
  if (!Number.isInteger(seconds) || seconds < 1) throw new Error(`SECONDS=${process.env.SECONDS}: use a whole number from 1`);
  await using lab = await createProductLab({ id: 'soak', nodes: 3, preset: 'fast', config: { health: labHealth } });
  await prepare(lab);
  const seen = await storm(lab, vipAddress, seconds);
  for (const alarm of seen.alarms) process.stdout.write(`alarm: ${alarm}\n`);
  process.stdout.write(
    `${seconds} s: ${seen.answers} answers, ${seen.failed} failed, ${seen.failovers} failovers, ${seen.alarms.length} alarms\n`,
  );
  if (seen.failovers > 0 || seen.alarms.length > 0 || seen.answers === 0) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`soak: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
