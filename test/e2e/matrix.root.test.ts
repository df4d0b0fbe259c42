// The failure matrix, each case once with preset fast and in its short form: the invariants, and service back within the bounds of the preset.
// Figures are the bench's business (make bench-failover).
import { afterAll, expect, test } from 'vitest';
import { faultCases } from '../bench/failover/cases.ts';
import type { FaultCase } from '../bench/failover/scene.ts';
import { openSession, type Run, runFault, type Session } from '../bench/failover/session.ts';
import { timingOf } from '../bench/failover/timing.ts';

/** What a machine busy with the rest of the tests adds to a bound, ms. */
const busyMs = 1000;
const timing = timingOf('fast');
let session: { readonly kind: FaultCase['lab']; readonly opened: Session } | null = null;

afterAll(() => close());

async function close(): Promise<void> {
  await session?.opened[Symbol.asyncDispose]();
  session = null;
}

/** The lab of the case before, if it is of the same kind and got well again. */
async function sessionFor(kind: FaultCase['lab']): Promise<Session> {
  if (session?.kind !== kind) {
    await close();
    session = { kind, opened: await openSession('matrix', kind, timing) };
  }
  return session.opened;
}

async function once(fault: FaultCase): Promise<Run> {
  try {
    return await runFault(await sessionFor(fault.lab), fault, true);
  } catch (error) {
    await close();
    throw error;
  }
}

test.each(faultCases)('$name: $about', async (fault) => {
  const run = await once(fault);
  const owner = session?.opened.lab.hostByMac(run.answers.at(-1)?.mac ?? '');
  expect(run.problem).toBe(''); // two owners, epochs that do not rise, a role that moved or stayed against the rule, clients never served again
  expect(owner).toBe(run.to);
  expect(run.outageMs).toBeLessThan(fault.bound(timing) + busyMs);
  if (fault.role === 'stays') expect(new Set(run.answers.map((answer) => answer.mac)).size).toBe(1);
});
