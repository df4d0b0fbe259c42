// Looks for the seed, or the value of a property, that catches a mutant.
import fc from 'fast-check';
import { runCampaign } from '../campaign.ts';
import { NO_FILTER } from '../plan.ts';
import { type Mutant, makeMutant } from './mutant.ts';
import { type Property, propertyOf } from './properties.ts';

/** How a mutant fared. */
export type Hunted = {
  readonly id: string;
  readonly what: string;
  readonly caught: boolean;
  /** Seeds run until then. */
  readonly seeds: number;
  readonly invariant: string;
  readonly text: string;
  readonly seconds: number;
};

const FIRST_SEED = 1;

/** Runs a mutant until an invariant breaks, or until its seeds are used up. */
export async function hunt(mutant: Mutant): Promise<Hunted> {
  const begun = performance.now();
  const { core, remove } = makeMutant(mutant);
  try {
    if (mutant.property !== undefined) return await drawFor(mutant, mutant.property, core, begun);
    const filter = { ...NO_FILTER, ...mutant.filter };
    const tally = await runCampaign({
      core,
      kind: mutant.kind ?? 'lease',
      filter,
      first: FIRST_SEED,
      seeds: mutant.seeds,
      failuresMax: 1,
      chunk: 4,
    });
    const failure = tally.failures[0];
    // A mutant that throws shows nothing but a bad patch.
    if (failure?.invariant === 'total') throw new Error(`mutant ${mutant.id} does not run: ${failure.text}`);
    return {
      id: mutant.id,
      what: mutant.what,
      caught: failure !== undefined,
      seeds: tally.seeds,
      invariant: failure?.invariant ?? '',
      text: failure === undefined ? '' : `seed ${failure.seed}: ${failure.text}`,
      seconds: Math.round((performance.now() - begun) / 100) / 10,
    };
  } finally {
    remove();
  }
}

async function drawFor({ id, what, seeds }: Mutant, name: Property, core: string, begun: number): Promise<Hunted> {
  const result = await fc.check(await propertyOf(name, core), { seed: FIRST_SEED, numRuns: seeds });
  // A property answers; one that throws met a bad patch.
  if (result.errorInstance instanceof Error && !result.errorInstance.message.startsWith('Property failed by returning false'))
    throw new Error(`mutant ${id} does not run: ${result.errorInstance.message}`);
  const invariant = result.failed ? `property ${name}` : '';
  const text = result.failed ? `value ${result.numRuns}: ${JSON.stringify(result.counterexample)}` : '';
  return {
    id,
    what,
    caught: result.failed,
    seeds: result.numRuns,
    invariant,
    text,
    seconds: Math.round((performance.now() - begun) / 100) / 10,
  };
}
