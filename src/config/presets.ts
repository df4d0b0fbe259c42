// The lease's named timings. One name instead of four numbers that must fit each other; single keys may still override.

/** Names of the presets, fastest first. */
export const presetNames = ['ultra', 'fast', 'standard', 'relaxed'] as const;

/** A preset's name. */
export type PresetName = (typeof presetNames)[number];

/** What a preset decides, ms: lease length T, renewal period R, poll period P, and the time a Redis command may take. */
export type Preset = { readonly ttlMs: number; readonly renewMs: number; readonly pollMs: number; readonly commandTimeoutMs: number };

/** The presets; each obeys every rule of rules.ts. Worst failover after a node's death: 575, 1029, 2190, 6580 ms. */
export const presets: Readonly<Record<PresetName, Preset>> = {
  ultra: { ttlMs: 500, renewMs: 100, pollMs: 50, commandTimeoutMs: 100 },
  fast: { ttlMs: 900, renewMs: 200, pollMs: 100, commandTimeoutMs: 150 },
  standard: { ttlMs: 2000, renewMs: 400, pollMs: 150, commandTimeoutMs: 150 },
  relaxed: { ttlMs: 6000, renewMs: 1000, pollMs: 500, commandTimeoutMs: 150 },
};
