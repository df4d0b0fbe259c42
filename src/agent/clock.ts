// The three clocks, read back to back. The only place of the agent that reads time for decisions.
import { uptime } from 'node:os';
import type { Now } from '../core/types.ts';

/** CLOCK_MONOTONIC, ms: one clock for all threads and processes of this boot of the machine. */
export function readMono(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

// Node has no call for CLOCK_BOOTTIME but `uptime`, which opens /proc/uptime: the dearest part of a turn of an idle agent. While the machine
// runs, that clock goes as the monotonic one. A machine that slept moves it and the wall clock by the same amount (Linux
// timekeeping_inject_sleeptime), so it is read again when the wall clock left the monotonic one, and once a second whatever that says.
const WALL_LEFT_MS = 5;
const READ_EVERY_MS = 1000;

/** Readers of the machine's clocks, ms each; a test gives its own. */
export type Clocks = { readonly mono: () => number; readonly bootMs: () => number; readonly wall: () => number };

/** A reader of all three. `boot` has 10 ms resolution, which is enough to see a machine that stood still. */
export function createClock({ mono, bootMs, wall }: Clocks): () => Now {
  let readAt = Number.NEGATIVE_INFINITY;
  let wallAhead = 0;
  let bootAhead = 0;
  return () => {
    const now = mono();
    const wallNow = wall();
    if (now - readAt >= READ_EVERY_MS || Math.abs(wallNow - now - wallAhead) > WALL_LEFT_MS) {
      bootAhead = bootMs() - now;
      wallAhead = wallNow - now;
      readAt = now;
    }
    return { mono: now, boot: now + bootAhead, wall: wallNow };
  };
}

/** Reads the clocks of this machine. */
export const readClocks = createClock({ mono: readMono, bootMs: () => uptime() * 1000, wall: Date.now });
