// Looks for the seed that catches a mutant.
import { runCampaign } from '../campaign.ts';
import { NO_FILTER } from '../plan.ts';
import { type Mutant, makeMutant } from './mutant.ts';

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
