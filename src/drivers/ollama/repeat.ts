// Questions that are asked again and again, each at its own pace.

/**
 * Runs `ask` at once and then each `everyMs`, or after the pause that it returns; a run that takes longer delays the next, so one kind is in flight
 * once.
 */
export function repeat(everyMs: number, ask: () => Promise<number | undefined>): { stop(): void } {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  async function run(): Promise<void> {
    const start = performance.now();
    const pauseMs = (await ask()) ?? everyMs;
    if (!stopped) timer = setTimeout(() => void run(), Math.max(0, pauseMs - (performance.now() - start)));
  }
  void run();
  return {
    stop(): void {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
