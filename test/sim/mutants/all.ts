import { CLAIM_MUTANTS } from './claim.ts';
import { COMPOSITION_MUTANTS } from './composition.ts';
import { FAILSAFE_MUTANTS } from './failsafe.ts';
import { HAND_ON_MUTANTS } from './handon.ts';
import { LOCK_DELAY_MUTANTS } from './lock-delay.ts';
import type { Mutant } from './mutant.ts';
import { OPERATOR_MUTANTS } from './operators.ts';
import { RARE_MUTANTS } from './rare.ts';

/** Every mutant, in the order of its number. */
export const MUTANTS: readonly Mutant[] = [
  ...CLAIM_MUTANTS,
  ...FAILSAFE_MUTANTS,
  ...LOCK_DELAY_MUTANTS,
  ...COMPOSITION_MUTANTS,
  ...OPERATOR_MUTANTS,
  ...HAND_ON_MUTANTS,
  ...RARE_MUTANTS,
].sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }));
