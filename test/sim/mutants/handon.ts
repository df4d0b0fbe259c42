// Mutants of the hand-on at a restart; whole cores find them.
import type { Filter } from '../plan.ts';
import type { Mutant } from './mutant.ts';

const FILTER: Partial<Filter> = { mode: 'storm', preset: 'standard', servers: 1 };
const FILE = 'lease/handon.ts';

/** H = hand-on. */
export const HAND_ON_MUTANTS: readonly Mutant[] = [
  {
    id: 'H1',
    what: 'the next process counts the validity from its own start',
    patches: [
      { file: FILE, find: '    ...kept,\n', replace: '    ...kept,\n    validUntil: now.mono + ttlMs,\n' },
      { file: FILE, find: 'now.mono < given.validUntil - guardMs && ', replace: '' },
    ],
    filter: FILTER,
    seeds: 200,
    kind: 'core',
  },
  {
    id: 'H2',
    what: 'the next process counts its nonces from the beginning',
    patches: [{ file: FILE, find: '    nonce,\n    epochKnown', replace: '    nonce: 0,\n    epochKnown' }],
    filter: FILTER,
    seeds: 200,
    kind: 'core',
  },
  {
    id: 'H3',
    what: 'the next process goes on although the machine stood still meanwhile',
    patches: [
      { file: FILE, find: ' && !stoodStill(given.skew, now)', replace: '' },
      {
        file: FILE,
        find: '    ...kept,\n',
        replace: '    ...kept,\n    skew: { boot: now.boot - now.mono, wall: now.wall - now.mono },\n',
      },
    ],
    filter: FILTER,
    seeds: 400,
    kind: 'core',
  },
];
