// One piece of work, never twice at a time, however often it is asked for.

/** Runs `work` one at a time; kicks during a run make exactly one more. */
export function createWorker(work: () => Promise<void>): { kick(): void; stop(): Promise<void> } {
  let again = false;
  let busy = false;
  let stopped = false;
  let running = Promise.resolve();
  const run = async () => {
    while (again && !stopped) {
      again = false;
      await work();
    }
    busy = false;
  };
  return {
    kick() {
      again = true;
      if (busy || stopped) return;
      busy = true;
      running = run();
    },
    async stop() {
      stopped = true;
      await running;
    },
  };
}
