// `make bench-scale`: what an idle agent costs, and how fast a death is noticed, as the cluster grows. Real agents on loopback, without Ollama but
// for two or three whose Ollama is a stub, so that there is a holder with heirs. Asserts nothing: it prints the growth with the targets, and
// writes JSON. Sizes beyond 64 are simulated. Environment: SIZES (3,16,32,64,128,256), WINDOW_S (20), DEATHS (2), REPORT (FILE).
import { writeFileSync } from 'node:fs';
import { measureSize, type SizeResult, simulateSize, warmUp } from './scale/measure.ts';
import { growthTable } from './scale/report.ts';

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name}=${text}: use whole numbers from 1 on`);
  return number;
}

const { SIZES = '3,16,32,64,128,256', WINDOW_S = '20', DEATHS = '2', REPORT = '' } = process.env;
// Two cores carry this many real agents.
const AGENTS_MAX = 64;

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

await warmUp();
const sizes: SizeResult[] = [];
for (const text of SIZES.split(',')) {
  const nodes = wholeNumber('SIZES', text);
  const plan = { nodes, windowMs: 1000 * wholeNumber('WINDOW_S', WINDOW_S), deaths: wholeNumber('DEATHS', DEATHS) };
  process.stderr.write(`${nodes} nodes ...\n`);
  sizes.push(nodes > AGENTS_MAX ? await simulateSize(nodes) : await measureSize(plan));
}
process.stdout.write(`${growthTable(sizes)}\n`);
if (REPORT !== '') writeFileSync(REPORT, `${JSON.stringify({ sizes }, null, 2)}\n`);
