/** Timing of health in these labs: the periods that only cost time are shorter than by default, the limits of hangs are the defaults. */
export const labHealth = {
  listBrokenMs: 3000,
  listEveryMs: 1000,
  loadStuckMs: 4000,
  hostEveryMs: 1000,
  progress: { canaryMs: 1000, firstTokenMs: 4000, imageEvery: 2 },
  slowLoadMs: 2000,
  stuckUnloadMs: 3000,
  zombieMs: 3000,
  reloads: 4,
  crash: { windowMs: 20_000, holdMs: 5000 },
  remedies: { unloadBlocker: { enabled: true } },
};
