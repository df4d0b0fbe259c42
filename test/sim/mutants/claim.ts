// Mutants of the claim: epochs, run_id, ripeness, validity, clocks.
import type { Mutant } from './mutant.ts';

const OBSERVE = 'lease/observe.ts';
const CONTENDER = 'lease/contender.ts';

/** M1 to M7 and M21. */
export const CLAIM_MUTANTS: readonly Mutant[] = [
  {
    id: 'M1',
    what: 'an epoch is used again by the next attempt, and a vacancy is not seeded from the wall clock',
    patches: [
      { file: CONTENDER, find: '  learnEpoch(d, epoch);\n', replace: '' },
      { file: CONTENDER, find: 'Math.ceil(now.wall / 250) * 250 : 0;', replace: '0 : 0;' },
    ],
    filter: { mode: 'off', preset: 'fast', servers: 1 },
    seeds: 2000,
  },
  {
    id: 'M2',
    what: 'no run_id in observation and compare-and-set',
    patches: [{ file: OBSERVE, find: 'before === null || before.snap.run !== snap.run', replace: 'before === null' }],
    filter: { mode: 'off', preset: 'fast', servers: 1, redis: 'noRun' },
    seeds: 2000,
  },
  {
    id: 'M3',
    what: 'a released record can be claimed whatever the age of the run',
    patches: [{ file: OBSERVE, find: 'return open ? Math.max(runOk, seen.recSince)', replace: 'return open ? seen.recSince' }],
    filter: { mode: 'off', preset: 'fast', servers: 1 },
    seeds: 2000,
  },
  {
    id: 'M4',
    what: 'a vacant record can be claimed at once',
    patches: [
      {
        file: OBSERVE,
        find: "if (snap.o === '') return Math.max(runOk, seen.recSince + waitMs(config.ttlMs + config.lockDelayMs, config.driftPpm));",
        replace: "if (snap.o === '') return runOk;",
      },
    ],
    filter: { mode: 'off', preset: 'fast', servers: 1 },
    seeds: 2000,
  },
  {
    id: 'M5',
    what: 'vacancy has no identity: no tombstone',
    patches: [
      { file: OBSERVE, find: "  if (snap.n === '') return Number.POSITIVE_INFINITY;\n", replace: '' },
      { file: 'lease/holder.ts', find: "seen.snap.n === '' || ", replace: '' },
    ],
    filter: { mode: 'off', preset: 'fast', servers: 1, redis: 'noTombstone' },
    seeds: 2000,
  },
  {
    id: 'M6',
    what: 'validity counts from the acknowledgement',
    patches: [
      { file: 'lease/holder.ts', find: 'validUntil: claim.sentAt + d.config.ttlMs', replace: 'validUntil: now.mono + d.config.ttlMs' },
      { file: 'lease/holder.ts', find: 'Math.max(phase.validUntil, round.sentAt + d.config.ttlMs)', replace: 'now.mono + d.config.ttlMs' },
    ],
    filter: { mode: 'off', preset: 'fast', servers: 3 },
    seeds: 2000,
  },
  {
    id: 'M7',
    what: 'clock rates differ by up to 30 %, far beyond the bound',
    patches: [],
    filter: { mode: 'off', preset: 'fast', servers: 1, rateError: 0.3 },
    seeds: 2000,
  },
  {
    id: 'M21',
    what: 'wait() without the drift factor and the 5 ms',
    patches: [{ file: 'lease/timing.ts', find: 'return Math.ceil((ms * (1 + rho)) / (1 - rho)) + 5;', replace: 'return ms + 0 * rho;' }],
    filter: { mode: 'clean', preset: 'relaxed', servers: 1 },
    seeds: 2000,
  },
];
