// A bandwidth limit shared by everything one thread receives: bytes are taken first, and paid for by waiting.

/** A token bucket that may go into debt. */
export type Limit = {
  /** Accounts for bytes that arrived; the ms to wait before the next are read, 0 = none. */
  readonly take: (bytes: number) => number;
  /** Bytes per second; 0 = no limit. */
  readonly set: (bytesPerSecond: number) => void;
};

/** Idle time may be saved up to this, ms. */
const BURST_MS = 50;

/** `nowMs` is a monotonic clock. */
export function createLimit(bytesPerSecond: number, nowMs: () => number): Limit {
  let rate = bytesPerSecond;
  let paidUntil = nowMs();
  return {
    take: (bytes) => {
      if (rate <= 0) return 0;
      const now = nowMs();
      paidUntil = Math.max(paidUntil, now - BURST_MS) + (bytes * 1000) / rate;
      return Math.max(0, paidUntil - now);
    },
    set: (next) => {
      rate = next;
      paidUntil = nowMs();
    },
  };
}
