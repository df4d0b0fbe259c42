// Seeded randomness of the simulated world. One stream per concern, so that leaving out one fault disturbs the others as little as possible.

/** A stream of pseudo-random numbers; the same seed gives the same stream. */
export type Random = {
  /** Next value in [0, 1). */
  readonly next: () => number;
  readonly between: (min: number, max: number) => number;
  /** Whole number in [0, n). */
  readonly below: (n: number) => number;
  readonly chance: (p: number) => boolean;
};

/** Mixes several whole numbers into one 32-bit seed. */
export function mixSeed(...parts: readonly number[]): number {
  let h = 0x243f6a88;
  for (const part of parts) {
    h = Math.imul(h ^ (part >>> 0), 0x9e3779b1);
    h ^= h >>> 15;
    h = Math.imul(h, 0x85ebca77);
    h ^= h >>> 13;
  }
  return h >>> 0;
}

/** A stream by a Weyl sequence with a two-step output mix: small, fast, good enough for schedules. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 4_294_967_296;
  };
  return {
    next,
    between: (min, max) => min + (max - min) * next(),
    below: (n) => Math.floor(next() * n),
    chance: (p) => next() < p,
  };
}
