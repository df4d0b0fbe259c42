// Waiting for a slot of a runner, and for how a load ends.
import type { Runner } from './scheduler.ts';

/** Waits for one of the runner's slots, first come first served; gives the function that frees it. */
export async function takeSlot(runner: Runner, slots: number, signal: AbortSignal): Promise<() => void> {
  while (runner.active >= slots && !signal.aborted) {
    const turn = Promise.withResolvers<void>();
    runner.queue.push(turn.resolve);
    signal.addEventListener('abort', () => turn.resolve(), { once: true });
    await turn.promise;
    const at = runner.queue.indexOf(turn.resolve);
    if (at >= 0) runner.queue.splice(at, 1);
  }
  runner.active += 1;
  return () => {
    runner.active -= 1;
    runner.queue.shift()?.();
  };
}

/** Settles when the client has gone. */
export function aborted(signal: AbortSignal, stop: AbortSignal): Promise<'aborted'> {
  return new Promise((settle) => {
    if (signal.aborted) settle('aborted');
    signal.addEventListener('abort', () => settle('aborted'), { once: true, signal: stop });
  });
}

/** Settles after `ms`. */
export function late(ms: number, stop: AbortSignal): Promise<'late'> {
  return new Promise((settle) => {
    const timer = setTimeout(() => settle('late'), Math.min(ms, 2 ** 31 - 1));
    stop.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}
