// A body that reads no faster than the disk writes and the bandwidth limit allows.
import type { Body, Intake } from './intake.ts';
import type { Limit } from './limit.ts';

/** Puts the brakes on an intake. `took` hears of every byte; `resume` starts the connection again. */
export function throttledBody(args: {
  readonly intake: Pick<Intake, 'room' | 'took' | 'ready'>;
  readonly limit: Limit;
  readonly took: (bytes: number) => void;
  readonly resume: () => void;
}): Body & { /** What the intake threw: the fault is here, not at the peer. */ readonly failure: () => unknown } {
  const { intake, limit, took, resume } = args;
  let failure: unknown = null;
  const resumeLater = async (room: boolean, waitMs: number): Promise<void> => {
    if (!room) await intake.ready();
    if (waitMs > 0) setTimeout(resume, waitMs);
    else resume();
  };
  return {
    room: intake.room,
    took: (bytes) => {
      took(bytes);
      try {
        const room = intake.took(bytes);
        const waitMs = limit.take(bytes);
        if (room && waitMs === 0) return true;
        void resumeLater(room, waitMs);
        return false;
      } catch (error) {
        failure = error;
        throw error;
      }
    },
    failure: () => failure,
  };
}
