// Randomness as state: a seed goes in, a value and the next seed come out (mulberry32).

/** A value in [0, 1) and the seed to use next. */
export function nextRandom(seed: number): { readonly value: number; readonly seed: number } {
  const next = (seed + 0x6d2b79f5) >>> 0;
  let x = Math.imul(next ^ (next >>> 15), next | 1);
  x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
  return { value: ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296, seed: next };
}

/** Up to `count` different items in random order, and the next seed. */
export function sample<T>(items: readonly T[], count: number, seed: number): { readonly picked: readonly T[]; readonly seed: number } {
  const rest = [...items];
  const picked: T[] = [];
  let at = seed;
  while (picked.length < count && rest.length > 0) {
    const turn = nextRandom(at);
    at = turn.seed;
    picked.push(...rest.splice(Math.floor(turn.value * rest.length), 1));
  }
  return { picked, seed: at };
}
