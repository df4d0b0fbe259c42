// CPU priority of lab processes. Each daemon has a session of its own, and kernels with autogroups share the CPU between sessions, whatever
// the nice values of their members: so the session gets the value too. Under systemd the unit's CPUWeight= does that.
import { existsSync, writeFileSync } from 'node:fs';

/** Gives the session of this process the priority `nice`, where the kernel groups by session. A process that is gone is no error. */
export function prioritise(pid: number | undefined, nice: number): void {
  const file = `/proc/${pid}/autogroup`;
  if (pid === undefined || nice === 0 || !existsSync(file)) return;
  try {
    writeFileSync(file, String(nice));
  } catch {
    // It ended meanwhile.
  }
}
