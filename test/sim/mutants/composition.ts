// Mutants of membership and of the composition of the machines; whole cores find them.
import type { Mutant } from './mutant.ts';

/** Beyond the table of the lease: G = gossip, C = composition. */
export const COMPOSITION_MUTANTS: readonly Mutant[] = [
  {
    id: 'G1',
    what: 'an accused node does not refute',
    patches: [
      {
        file: 'membership/learn.ts',
        find: "d.inc = update.state === 'alive' ? update.inc : Math.max(d.inc, update.inc) + 1;",
        replace: 'd.inc = Math.max(d.inc, update.inc);',
      },
    ],
    filter: { mode: 'storm', preset: 'fast', servers: 1 },
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'G2',
    what: 'a node that stood still judges its peers before it has read what they sent',
    patches: [
      { file: 'membership/machine.ts', find: '  noticeLateness(d);\n', replace: '' },
      {
        file: 'membership/machine.ts',
        find: 'function suspendVerdicts(d: Draft): void {\n  d.quietUntil = Math.max(d.quietUntil, d.now + d.config.heartbeatMs);\n',
        replace: 'function suspendVerdicts(_d: Draft): void {\n',
      },
    ],
    filter: { mode: 'storm', preset: 'fast', servers: 1 },
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'G3',
    what: 'an indirect probe never clears anybody',
    patches: [
      { file: 'membership/suspicion.ts', find: '  if (ack === true) {\n', replace: '  if (ack === true && node === d.config.node) {\n' },
    ],
    filter: { mode: 'storm', preset: 'fast', servers: 1 },
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'G4',
    what: 'the answer of a helper counts for the suspect, whatever it says',
    patches: [{ file: 'membership/suspicion.ts', find: '  if (ack === true) {\n', replace: '  if (ack !== null) {\n' }],
    filter: { mode: 'storm', preset: 'fast', servers: 1 },
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'C1',
    what: 'the lease is not told that the fence is lost',
    patches: [{ file: 'step.ts', find: "  if (kind !== 'nft') lease(d, { k: 'fenceLost' }, now);\n", replace: '' }],
    filter: { mode: 'lockdelay', preset: 'fast', servers: 1 },
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'C3',
    what: 'what the last step of the lease allowed is taken for what is allowed now',
    patches: [{ file: 'step.ts', find: '  d.leaseDesired = desiredOf(d.lease, now);\n', replace: '' }],
    filter: { mode: 'storm', preset: 'fast' },
    seeds: 60,
    kind: 'core',
  },
  {
    id: 'C2',
    what: 'a stall is never judged over, so that the node never claims again',
    patches: [{ file: 'step.ts', find: '      d.stalled = false;\n', replace: '' }],
    filter: { mode: 'storm', preset: 'fast', servers: 1 },
    seeds: 120,
    kind: 'core',
  },
];
