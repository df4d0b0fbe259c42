// When the store's thread looks at the disk: soon after an event, slowly without one, and never so often that it does nothing else.

/** Times of the scans. `run` is called once per due time and says nothing; its duration spaces the next. */
export type Schedule = {
  /** Scan in `ms` at the latest. */
  readonly within: (ms: number) => void;
  /** Scan in this turn of the loop, whatever the spacing. */
  readonly now: () => void;
  /** Sets the pace without events, ms. */
  readonly pace: (ms: number) => void;
  readonly close: () => void;
};

/** A scan that takes long is repeated rarely: its thread has blobs to hash as well. */
const SPACING = 10;

/** Runs `run` at once, then as asked. */
export function openSchedule(paceMs: number, run: () => void): Schedule {
  let slowMs = paceMs;
  let dueAt = Number.POSITIVE_INFINITY;
  let earliestAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let open = true;

  const set = (at: number) => {
    if (at >= dueAt || !open) return;
    dueAt = at;
    clearTimeout(timer);
    timer = setTimeout(turn, Math.max(0, at - performance.now()));
  };
  const within = (ms: number) => set(Math.max(performance.now() + ms, earliestAt));
  function turn(): void {
    dueAt = Number.POSITIVE_INFINITY;
    const started = performance.now();
    run();
    const ended = performance.now();
    earliestAt = ended + SPACING * (ended - started);
    within(slowMs);
  }
  return {
    within,
    now: () => set(performance.now()),
    pace: (ms) => {
      slowMs = ms;
      within(ms);
    },
    close: () => {
      open = false;
      clearTimeout(timer);
    },
  };
}
