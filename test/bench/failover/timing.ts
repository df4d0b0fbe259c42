// The bounds that follow from a preset. Times in ms, counted from the injection.
import { type PresetName, presets } from '../../../src/config/presets.ts';
import { waitMs } from '../../../src/core/lease/timing.ts';

/** Bounds of one preset with the kernel fence: the address is off by `off`, the new owner answers by `new`, all is well by `back` after the end. */
export type Timing = {
  readonly preset: PresetName;
  readonly ttlMs: number;
  readonly renewMs: number;
  readonly offMs: number;
  readonly newMs: number;
  readonly backMs: number;
  /** A store outage this long has no effect. */
  readonly rideMs: number;
};

const driftPpm = 5000;
const guardMs = 50;

/** The bounds of a preset. */
export function timingOf(preset: PresetName): Timing {
  const { ttlMs, renewMs, pollMs } = presets[preset];
  const silentMs = waitMs(ttlMs, driftPpm);
  return {
    preset,
    ttlMs,
    renewMs,
    offMs: ttlMs - guardMs,
    newMs: silentMs + pollMs + 500,
    backMs: silentMs + pollMs + 1000,
    rideMs: ttlMs - renewMs - 200,
  };
}

/** The released lease of a crashed agent is taken within this. */
export const fastReleaseMs = 1000;
