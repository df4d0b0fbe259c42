// The three clocks, read back to back. The only place of the agent that reads time for decisions.
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import type { Now } from '../core/types.ts';

/** Reads the clocks, ms. `boot` has 10 ms resolution (/proc/uptime through sysinfo), which is enough to see a machine that stood still. */
export function readClocks(): Now {
  return { mono: performance.now(), boot: uptime() * 1000, wall: Date.now() };
}

/** The kernel's id of this boot of the machine; a new one means that every process of before is gone. */
export function machineBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
