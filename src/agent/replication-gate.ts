// What of a plan may be copied now: nothing while paused, only required models outside the schedule window, else everything.
import type { ReplicationPlan } from '../core/replication/types.ts';
import { type CopyWindow, isInWindow } from '../core/replication/window.ts';

/** The gate. `pass` gives the same object while nothing changed, so that it may be asked on every turn. */
export type ReplicationGate = {
  readonly pass: (plan: ReplicationPlan | null) => ReplicationPlan | null;
  readonly pause: (paused: boolean) => void;
  readonly paused: () => boolean;
  readonly windowOpen: () => boolean;
  /** Opens the window until nothing is left to fetch. */
  readonly openOnce: () => void;
};

/** `minuteOfDay` is local time; no window = always open. */
export function createGate(args: {
  readonly window: CopyWindow | null;
  readonly paused: boolean;
  readonly minuteOfDay: () => number;
}): ReplicationGate {
  let { paused } = args;
  let once = false;
  let last: { readonly plan: ReplicationPlan; readonly mode: string; readonly passed: ReplicationPlan } | null = null;
  const windowOpen = () => once || args.window === null || isInWindow(args.window, args.minuteOfDay());
  return {
    pass: (plan) => {
      if (plan === null) return null;
      if (plan.fetch.length === 0) once = false;
      const mode = paused ? 'paused' : windowOpen() ? 'open' : 'required';
      if (last?.plan === plan && last.mode === mode) return last.passed;
      const fetch = mode === 'paused' ? [] : plan.fetch.filter((order) => order.required === true);
      last = { plan, mode, passed: mode === 'open' ? plan : { ...plan, fetch, ahead: [] } };
      return last.passed;
    },
    pause: (next) => {
      paused = next;
    },
    paused: () => paused,
    windowOpen,
    openOnce: () => {
      once = true;
    },
  };
}
