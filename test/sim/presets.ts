// The four timing presets as the configuration ships them, and what a run of the simulator varies.
import type { LeaseConfig } from '../../src/core/lease/types.ts';

/** Name of a timing preset. */
export type PresetName = 'ultra' | 'fast' | 'standard' | 'relaxed';

/** All presets, quickest first. */
export const PRESETS: readonly PresetName[] = ['ultra', 'fast', 'standard', 'relaxed'];

type Timing = { readonly ttlMs: number; readonly renewMs: number; readonly pollMs: number; readonly commandTimeoutMs: number };

const TIMING: Readonly<Record<PresetName, Timing>> = {
  ultra: { ttlMs: 500, renewMs: 100, pollMs: 50, commandTimeoutMs: 100 },
  fast: { ttlMs: 900, renewMs: 200, pollMs: 100, commandTimeoutMs: 150 },
  standard: { ttlMs: 2000, renewMs: 400, pollMs: 150, commandTimeoutMs: 150 },
  relaxed: { ttlMs: 6000, renewMs: 1000, pollMs: 500, commandTimeoutMs: 150 },
};

/**
 * Kind of a run. `storm`: every fault, fences everywhere (L = 0), failsafe on. `off`: the same without failsafe. `lockdelay`: L > 0, fences come and go.
 * `healthy`: only what must not move the holder (lies of gossip, faults of others, a minority of the servers). `clean`: kills and handovers alone, for timing.
 */
export type Mode = 'storm' | 'off' | 'lockdelay' | 'healthy' | 'clean';

/** All modes. */
export const MODES: readonly Mode[] = ['storm', 'off', 'lockdelay', 'healthy', 'clean'];

/** Command timeout of the Redis client in this preset, ms. */
export function commandTimeoutOf(preset: PresetName): number {
  return TIMING[preset].commandTimeoutMs;
}

/** The lease's configuration in a run. */
export function leaseConfigOf(preset: PresetName, servers: number, mode: Mode): LeaseConfig {
  const timing = TIMING[preset];
  const lockDelayMs = mode === 'lockdelay' ? (preset === 'standard' ? 1200 : 1500) : 0;
  return {
    ttlMs: timing.ttlMs,
    renewMs: timing.renewMs,
    pollMs: timing.pollMs,
    guardMs: 50,
    driftPpm: 5000,
    lockDelayMs,
    claimTimeoutMs: 250,
    backoffMinMs: 30,
    backoffMaxMs: 400,
    heirGraceMs: 300,
    rankDelayMs: 150,
    failsafe: mode === 'off' ? 'off' : 'unanimous',
    servers,
    fenceRequired: mode !== 'lockdelay',
  };
}

/** `wait(t)`: what must pass on one clock so that `ms` have passed on any other. Written out here once more on purpose: the checkers trust no product code. */
export function waitOf(ms: number, driftPpm: number): number {
  const rho = driftPpm / 1e6;
  return Math.ceil((ms * (1 + rho)) / (1 - rho)) + 5;
}
