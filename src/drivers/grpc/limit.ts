// Token buckets: what one peer may send us per second.

/** Takes one token; false = over the limit. */
export type Limit = () => boolean;

/** `perSecond` tokens per second, at most a second's worth saved up. `clock` is monotonic ms. */
export function createLimit(perSecond: number, clock: () => number): Limit {
  let tokens = perSecond;
  let at = clock();
  return () => {
    const now = clock();
    tokens = Math.min(perSecond, tokens + ((now - at) * perSecond) / 1_000);
    at = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };
}
