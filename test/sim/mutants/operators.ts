// Mutants of what operators order and of who belongs to the cluster; whole cores find them.
import type { Filter } from '../plan.ts';
import type { Mutant } from './mutant.ts';

const RANKING = 'ranking.ts';
const FILTER: Partial<Filter> = { mode: 'storm', preset: 'fast', servers: 1 };

/** P = settings and orders, R = roster. */
export const OPERATOR_MUTANTS: readonly Mutant[] = [
  {
    id: 'P1',
    what: 'a pause is no reason against a claim',
    patches: [{ file: RANKING, find: "  if (f.paused !== '') vetoes.push(f.paused);\n", replace: '' }],
    filter: FILTER,
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'P2',
    what: 'maintenance, and so a drain, is no reason against a claim',
    patches: [{ file: RANKING, find: "  if (f.maintenance !== '') vetoes.push(f.maintenance);\n", replace: '' }],
    filter: FILTER,
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'P3',
    what: 'nofailover is no reason against a claim',
    patches: [{ file: RANKING, find: "  if (f.nofailover) vetoes.push('nofailover is set');\n", replace: '' }],
    filter: FILTER,
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'P4',
    what: 'of two settings records the older one wins',
    patches: [{ file: 'settings/record.ts', find: 'return compare(a, b) >= 0 ? a : b;', replace: 'return compare(a, b) <= 0 ? a : b;' }],
    filter: FILTER,
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'P5',
    what: 'a peer that holds older settings is not told the newer ones',
    patches: [
      { file: 'steer.ts', find: 'if (olderThan(frame, d.settings)) d.effects', replace: 'if (frame.settingsVersion < 0) d.effects' },
    ],
    filter: FILTER,
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'P6',
    what: 'a switchover under way is forgotten, and never answered',
    patches: [{ file: 'commands.ts', find: '  d.pending = open;\n', replace: '  d.pending = [];\n' }],
    filter: FILTER,
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'P7',
    what: 'a switchover is called done whoever took over',
    patches: [{ file: 'commands.ts', find: "const asWished = p.to === '' || p.to === node;", replace: 'const asWished = true;' }],
    filter: FILTER,
    seeds: 120,
    kind: 'core',
  },
  {
    id: 'P8',
    what: 'a planned switchover stays planned after it has begun, and runs again',
    patches: [
      {
        file: 'schedule.ts',
        find: "  changeSettings(d, { k: 'unschedule' });\n  d.lastYield = {",
        replace: '  d.lastYield = {',
      },
    ],
    filter: FILTER,
    seeds: 120,
    kind: 'core',
  },
  {
    id: 'P9',
    what: 'a restart forgets what was planned',
    patches: [
      {
        file: 'create.ts',
        find: '    settings: saved?.settings ?? NO_SETTINGS,\n',
        replace: '    settings: { ...(saved?.settings ?? NO_SETTINGS), schedule: null },\n',
      },
    ],
    filter: FILTER,
    seeds: 240,
    kind: 'core',
  },
  {
    id: 'P10',
    what: 'a planned switchover runs before its time',
    patches: [{ file: 'schedule.ts', find: 'now.wall < plan.atMs) return null', replace: 'now.wall + 3000 < plan.atMs) return null' }],
    filter: FILTER,
    seeds: 120,
    kind: 'core',
  },
  {
    id: 'R1',
    what: 'who is not in the roster claims all the same',
    patches: [
      { file: RANKING, find: "  else if (!f.inRoster) vetoes.push('not in the roster of the lease');\n", replace: '' },
      {
        file: 'lease/contender.ts',
        find: 'if (!rosterOf(d).nodes.includes(d.self.node)) {',
        replace: 'if (rosterOf(d).nodes.length === 0) {',
      },
      {
        file: 'lease/roster.ts',
        find: "return seen.snap.o === '' || seen.meta.roster.length === 0 || seen.meta.roster.includes(node);",
        replace: "return seen.snap.o === '' || node !== '';",
      },
    ],
    filter: FILTER,
    seeds: 240,
    kind: 'core',
  },
  {
    id: 'R2',
    what: 'a newcomer is never taken into the roster',
    patches: [{ file: 'members.ts', find: 'return !phase.roster.includes(m.node) && ', replace: 'return phase.roster.length === 0 && ' }],
    filter: FILTER,
    seeds: 60,
    kind: 'core',
  },
];
