// Mutants of lockDelay: what outlasts validity where no fence guards the address.
import type { Filter } from '../plan.ts';
import type { Mutant } from './mutant.ts';

const OBSERVE = 'lease/observe.ts';
const HOLDER = 'lease/holder.ts';
const MACHINE = 'lease/machine.ts';
const FILTER: Partial<Filter> = { mode: 'lockdelay', preset: 'fast', servers: 1 };

const RUN_AGE = 'const runOk = seen.runSince + waitMs(config.ttlMs + config.lockDelayMs, config.driftPpm);';
const VACANT = 'seen.recSince + waitMs(config.ttlMs + config.lockDelayMs, config.driftPpm));';
const OWNED = 'waitMs(Math.max(config.ttlMs, meta.ttlMs) + meta.lockDelayMs, config.driftPpm)';
const VACANT_SHORT = { file: OBSERVE, find: VACANT, replace: 'seen.recSince + waitMs(config.ttlMs, config.driftPpm));' };

// A holder whose announcement follows its fence: what every renewal says of the lockDelay may change inside an epoch.
const ANNOUNCE_ANEW = {
  file: HOLDER,
  find: '  const firstOp = takeOps(d);\n  let counted = 0;\n',
  replace: `  const firstOp = takeOps(d);
  let counted = 0;
  phase = { ...phase, meta: JSON.stringify({ ...JSON.parse(phase.meta), lockDelay: d.ctx.fence ? 0 : d.config.lockDelayMs }) };
`,
};
const GO_ON_WITHOUT_FENCE = { file: MACHINE, find: "  else startYield(d, phase, 'fence', d.ctx.heir ?? '', now);\n", replace: '' };

/** M12 to M19. */
export const LOCK_DELAY_MUTANTS: readonly Mutant[] = [
  {
    id: 'M12',
    what: 'contenders ignore lockDelay',
    patches: [
      { file: OBSERVE, find: RUN_AGE, replace: 'const runOk = seen.runSince + waitMs(config.ttlMs, config.driftPpm);' },
      VACANT_SHORT,
      { file: OBSERVE, find: OWNED, replace: 'waitMs(Math.max(config.ttlMs, meta.ttlMs), config.driftPpm)' },
    ],
    filter: FILTER,
    seeds: 1000,
  },
  {
    id: 'M13',
    what: 'the age of a run is measured against the lockDelay of the record, not against L',
    patches: [
      { file: OBSERVE, find: RUN_AGE, replace: 'const runOk = seen.runSince + waitMs(config.ttlMs + meta.lockDelayMs, config.driftPpm);' },
    ],
    filter: FILTER,
    seeds: 1000,
  },
  { id: 'M14', what: 'a tombstone is waited for T_obs only, not for L', patches: [VACANT_SHORT], filter: FILTER, seeds: 1000 },
  {
    id: 'M15',
    what: 'RELEASE leaves before the effects have ended',
    patches: [
      {
        file: MACHINE,
        find: "      if (d.phase.tag === 'active') startYield(d, d.phase, input.cause, input.heir, now);\n",
        replace: `      if (d.phase.tag === 'active') {
        startYield(d, d.phase, input.cause, input.heir, now);
        if ((d.phase.tag as string) === 'yielding') effectsEnded(d, d.phase as never, now);
      }
`,
      },
    ],
    filter: FILTER,
    seeds: 1000,
  },
  {
    id: 'M16',
    what: 'the fence is lost, and the holder goes on under the epoch that announced 0',
    patches: [GO_ON_WITHOUT_FENCE],
    filter: FILTER,
    seeds: 1000,
  },
  {
    id: 'M17',
    what: 'the fence is lost while a claim is in flight, and the claim is kept',
    patches: [
      { file: MACHINE, find: "  if (phase.tag === 'claiming' && phase.lockDelayMs === 0) failClaim(d, phase, now);\n", replace: '' },
      {
        file: 'lease/contender.ts',
        find: 'phase.lockDelayMs === 0 && d.config.lockDelayMs > 0 && !d.ctx.fence',
        replace: 'phase.lockDelayMs < 0',
      },
    ],
    filter: FILTER,
    seeds: 5000,
  },
  { id: 'M18', what: 'the announced lockDelay changes inside an epoch', patches: [ANNOUNCE_ANEW], filter: FILTER, seeds: 5000 },
  {
    id: 'M19',
    what: 'the announced lockDelay changes inside an epoch, and validity is not shortened when it rises',
    patches: [ANNOUNCE_ANEW, GO_ON_WITHOUT_FENCE],
    filter: FILTER,
    seeds: 1000,
  },
];
