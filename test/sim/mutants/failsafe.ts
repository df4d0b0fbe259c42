// Mutants of the failsafe.
import type { Mutant } from './mutant.ts';

const FAILSAFE = 'lease/failsafe.ts';

/** M8 to M11 and M20, one of L9, and one of the suspend check. */
export const FAILSAFE_MUTANTS: readonly Mutant[] = [
  {
    id: 'M8',
    what: 'a majority of acknowledgements extends, without grants on claims',
    patches: [
      {
        file: FAILSAFE,
        find: 'if (waiting.length > 0) {',
        replace: 'if (waiting.length > d.ctx.roster.length - 1 - Math.floor(d.ctx.roster.length / 2)) {',
      },
    ],
    filter: { mode: 'storm', preset: 'fast', servers: 3 },
    seeds: 2000,
  },
  {
    id: 'M9',
    what: 'a single acknowledgement extends',
    patches: [{ file: FAILSAFE, find: 'if (waiting.length > 0) {', replace: 'if (waiting.length > d.ctx.roster.length - 2) {' }],
    filter: { mode: 'storm', preset: 'fast', servers: 3 },
    seeds: 2000,
  },
  {
    id: 'M10',
    what: 'a member accepts although its own claim is in flight',
    patches: [{ file: FAILSAFE, find: "  if (phase.tag === 'claiming') failClaim(d, phase, now);\n", replace: '' }],
    filter: { mode: 'storm', preset: 'fast', servers: 3 },
    seeds: 2000,
  },
  {
    id: 'M11',
    what: 'the promise is not checked on the fast path of a handover',
    patches: [
      {
        file: 'lease/machine.ts',
        find: "    case 'handover':\n      doneFirstHand(d, input, now);\n",
        replace: "    case 'handover':\n      doneFirstHand(d, input, now);\n      d.promise = null;\n",
      },
    ],
    filter: { mode: 'storm', preset: 'fast', servers: 3 },
    seeds: 4000,
  },
  {
    id: 'M20',
    what: 'a promise does not last for the lockDelay of the holder',
    patches: [
      {
        file: FAILSAFE,
        find: 'waitMs(Math.max(ask.ttlMs, d.config.ttlMs) + ask.lockDelayMs, ',
        replace: 'waitMs(Math.max(ask.ttlMs, d.config.ttlMs), ',
      },
    ],
    filter: { mode: 'lockdelay', preset: 'fast', servers: 1 },
    seeds: 1000,
  },
  {
    id: 'L9',
    what: 'failsafe revives a lapsed holder',
    patches: [
      {
        file: FAILSAFE,
        find: "phase.tag !== 'active' || phase.lapsed || phase.failsafe === null",
        replace: "phase.tag !== 'active' || phase.failsafe === null",
      },
      { file: FAILSAFE, find: '  if (now.mono >= phase.validUntil) return;\n', replace: '' },
      { file: 'lease/holder.ts', find: 'lapsed: true, failsafe: null, failsafeOn: false', replace: 'lapsed: true' },
    ],
    filter: { mode: 'storm', preset: 'fast', servers: 1 },
    seeds: 1000,
  },
  {
    id: 'F1',
    what: 'an acceptance that arrives after the machine stood still hides that it did',
    patches: [
      { file: FAILSAFE, find: 'skew: phase.failsafe.skew,', replace: 'skew: { boot: now.boot - now.mono, wall: now.wall - now.mono },' },
    ],
    filter: { mode: 'storm', preset: 'fast', servers: 1 },
    seeds: 4000,
  },
];
