// What the simulator's seeds do not reach. The same properties find the mutants W and J (test/sim/mutants).
import fc from 'fast-check';
import { test } from 'vitest';
import { PRODUCTION_CORE } from '../sim/agents.ts';
import { propertyOf } from '../sim/mutants/properties.ts';

test('a holder waits one T_obs more where the epoch wraps as a VRRP priority, and only after an owner that did not release', async () => {
  fc.assert(await propertyOf('wrap', PRODUCTION_CORE), { numRuns: 300 });
});

test('reports on a member join in whatever order, grouping and repetition', async () => {
  fc.assert(await propertyOf('members', PRODUCTION_CORE), { numRuns: 1000 });
});

test('rosters join in whatever order and repetition', async () => {
  fc.assert(await propertyOf('rosters', PRODUCTION_CORE), { numRuns: 1000 });
});
