// All cases of the failure matrix, in the order in which they run.
import { crashCases } from './cases-crash.ts';
import { fileCases } from './cases-files.ts';
import { networkCases } from './cases-network.ts';
import { storeCases } from './cases-store.ts';
import type { FaultCase } from './scene.ts';

/** The cases. */
export const faultCases: readonly FaultCase[] = [...crashCases, ...networkCases, ...fileCases, ...storeCases].toSorted(
  (a, b) => Number(a.lab === 'prepared') - Number(b.lab === 'prepared'),
);

/** The cases of these names, in the matrix' order; all for none. An error names an unknown one. */
export function casesNamed(names: readonly string[]): readonly FaultCase[] {
  const unknown = names.find((name) => !faultCases.some((fault) => fault.name === name));
  if (unknown !== undefined) throw new Error(`CASES: no case "${unknown}"; there are ${faultCases.map((fault) => fault.name).join(', ')}`);
  return names.length === 0 ? faultCases : faultCases.filter((fault) => names.includes(fault.name));
}
