// Mutants of what no seed reaches within reason; the properties of properties.ts find them, which the product must hold too.
import type { Mutant } from './mutant.ts';

/** W = wrap of the epoch, J = joins (merges). `seeds` counts the values drawn. */
export const RARE_MUTANTS: readonly Mutant[] = [
  {
    id: 'W1',
    what: 'nobody waits for an owner that is the stronger one on the wire because the epoch wrapped',
    patches: [
      {
        file: 'lease/wrap.ts',
        find: 'return d.atLarge.some((x) => x.e % PRIORITIES > epoch % PRIORITIES);',
        replace: 'return d.atLarge.some((x) => x.e > PRIORITIES * epoch);',
      },
    ],
    filter: {},
    seeds: 2000,
    property: 'wrap',
  },
  {
    id: 'W2',
    what: 'a claim over a wrapped epoch acts at once',
    patches: [{ file: 'lease/holder.ts', find: '    now.mono >= phase.actFrom &&\n', replace: '' }],
    filter: {},
    seeds: 2000,
    property: 'wrap',
  },
  {
    id: 'W3',
    what: 'an owner that released is waited for all the same',
    patches: [{ file: 'lease/wrap.ts', find: '    if (others.length < d.atLarge.length) d.atLarge = others;\n', replace: '' }],
    filter: {},
    seeds: 2000,
    property: 'wrap',
  },
  {
    id: 'J1',
    what: 'of two reports on one incarnation the first heard wins',
    patches: [
      {
        file: 'membership/merge.ts',
        find: 'const top = RANK[a.state] >= RANK[b.state] ? a : b;',
        replace: 'const top = RANK[a.state] >= 0 ? a : b;',
      },
    ],
    filter: {},
    seeds: 200,
    property: 'members',
  },
  {
    id: 'J2',
    what: 'accusers are not united',
    patches: [
      {
        file: 'membership/merge.ts',
        find: 'return [...new Set([...a, ...b])].sort(byName).slice(0, ACCUSERS_MAX);',
        replace: 'return [...a].sort(byName).slice(0, ACCUSERS_MAX);',
      },
    ],
    filter: {},
    seeds: 200,
    property: 'members',
  },
  {
    id: 'J3',
    what: 'the roster seen last wins, whatever its version',
    patches: [{ file: 'lease/roster.ts', find: '  if (newer) d.roster', replace: '  if (newer || epoch > 0) d.roster' }],
    filter: {},
    seeds: 200,
    property: 'rosters',
  },
];
