// How late the loop's own timer fires: the delay of the main loop, measured without waking the process for it.

/** The newest latenesses, about a minute of them. */
export type Lateness = {
  take(ms: number): void;
  /** 99th percentile, ms; null before there are enough to speak of one. */
  p99(): number | null;
};

// The loop wakes at least ten times a second.
const SAMPLES = 1200;
const SAMPLES_LEAST = 100;

/** An empty record. */
export function createLateness(): Lateness {
  const samples = new Float64Array(SAMPLES);
  let taken = 0;
  return {
    take(ms) {
      samples[taken % SAMPLES] = Math.max(0, ms);
      taken += 1;
    },
    p99() {
      if (taken < SAMPLES_LEAST) return null;
      const sorted = samples.slice(0, Math.min(taken, SAMPLES)).sort();
      return sorted[Math.ceil(0.99 * sorted.length) - 1] ?? null;
    },
  };
}
