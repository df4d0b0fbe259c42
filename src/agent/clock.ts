// The three clocks, read back to back. The only place of the agent that reads time for decisions.
import { uptime } from 'node:os';
import type { Now } from '../core/types.ts';

/** CLOCK_MONOTONIC, ms: one clock for all threads and processes of this boot of the machine. */
export function readMono(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Reads the clocks, ms. `boot` has 10 ms resolution (/proc/uptime through sysinfo), which is enough to see a machine that stood still. */
export function readClocks(): Now {
  return { mono: readMono(), boot: uptime() * 1000, wall: Date.now() };
}
