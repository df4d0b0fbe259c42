// The one place where the lease's clock meets the dead-man script's: CLOCK_MONOTONIC stops in suspend, /proc/uptime (CLOCK_BOOTTIME) does not.
import { readFileSync } from 'node:fs';

/** `enforceAt` in centiseconds of /proc/uptime, rounded down. All arguments in ms; both clocks must have been read back to back. */
export function deadlineCs(clocks: { readonly uptimeMs: number; readonly monoMs: number }, enforceAt: number): number {
  return Math.floor((clocks.uptimeMs + (enforceAt - clocks.monoMs)) / 10);
}

/** /proc/uptime in ms (it counts in steps of 10). Throws when it cannot be read. */
export function readUptimeMs(path = '/proc/uptime'): number {
  const seconds = Number(readFileSync(path, 'utf8').split(' ')[0]);
  if (!Number.isFinite(seconds)) throw new Error(`${path} does not start with a number`);
  return seconds * 1000;
}
