// Waits that hold across two clocks whose rates differ by at most the configured drift.
/** What a contender must let pass on its own clock so that `ms` have passed on the holder's, whatever the two rates are within the drift bound. */
export function waitMs(ms: number, driftPpm: number): number {
  const rho = driftPpm / 1_000_000;
  return Math.ceil((ms * (1 + rho)) / (1 - rho)) + 5;
}

/** Majority of N independent servers. */
export function majorityOf(servers: number): number {
  return Math.floor(servers / 2) + 1;
}

/** Next value of a 32-bit xorshift; randomness is state, seeded by the shell. Never 0. */
export function nextRandom(seed: number): number {
  let x = seed | 0 || 0x9e3779b9;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x | 0 || 1;
}

/** A random value mapped evenly into [min, max). */
export function between(random: number, min: number, max: number): number {
  return min + ((random >>> 0) / 4_294_967_296) * (max - min);
}
