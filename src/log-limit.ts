// Bounds the volume of the log: of lines that repeat themselves, some are written and the rest is counted.

/** What becomes of a line. `repeated`: so many like it were left out before it. */
export type Admission = { readonly write: boolean; readonly repeated: number };

/** One limit over all events. */
export type LogLimit = {
  /** `key` says which lines are alike. Times are monotonic ms. */
  admit(key: string, nowMs: number): Admission;
  /** Lines left out whose window has ended since, to be told of; each is told once. */
  takeSuppressed(nowMs: number): readonly { readonly key: string; readonly repeated: number }[];
};

/** So many alike lines are written within a window. */
const BURST = 20;
const WINDOW_MS = 60_000;
// A key is forgotten with the oldest window: outside texts must not fill the memory.
const KEYS_MAX = 500;

/** A limit that has seen nothing. */
export function createLogLimit(): LogLimit {
  const windows = new Map<string, { startedAt: number; written: number; suppressed: number }>();
  return {
    admit(key, nowMs) {
      const window = windows.get(key);
      if (window === undefined || nowMs - window.startedAt >= WINDOW_MS) {
        windows.delete(key);
        windows.set(key, { startedAt: nowMs, written: 1, suppressed: 0 });
        const [oldest] = windows.keys();
        if (windows.size > KEYS_MAX && oldest !== undefined) windows.delete(oldest);
        return { write: true, repeated: window?.suppressed ?? 0 };
      }
      if (window.written < BURST) {
        window.written += 1;
        return { write: true, repeated: 0 };
      }
      window.suppressed += 1;
      return { write: false, repeated: 0 };
    },
    takeSuppressed(nowMs) {
      const over = [...windows].filter(([, window]) => window.suppressed > 0 && nowMs - window.startedAt >= WINDOW_MS);
      return over.map(([key, window]) => {
        windows.delete(key);
        return { key, repeated: window.suppressed };
      });
    },
  };
}
