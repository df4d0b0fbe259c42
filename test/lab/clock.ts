// Wall clocks of hosts: namespaces share the machine's, so libfaketime shifts what a process sees. The monotonic clock stays untouched.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostPlan } from './kit.ts';

/** Whose clock: a host's services follow 'clock', a Redis that a bench starts itself may have one of its own. */
export type ClockName = 'clock' | 'redis-clock';

/** Sets how far a host's wall clock is ahead of (or, negative, behind) the machine's. Processes under `steppedClock` see it at once. */
export function setClock(plan: HostPlan, offsetMs: number, name: ClockName = 'clock'): void {
  writeFileSync(clockFile(plan, name), `${offsetMs < 0 ? '-' : '+'}${Math.abs(offsetMs) / 1000}\n`);
}

/** Environment of a process whose wall clock follows `setClock`. */
export function steppedClock(plan: HostPlan, name: ClockName = 'clock'): Record<string, string> {
  return {
    // $LIB is the dynamic linker's: the library directory of this architecture
    LD_PRELOAD: '/usr/$LIB/faketime/libfaketimeMT.so.1',
    FAKETIME_TIMESTAMP_FILE: clockFile(plan, name),
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
  };
}

function clockFile(plan: HostPlan, name: ClockName): string {
  return join(plan.dataDir, name);
}
