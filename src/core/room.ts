// Does the machine leave the lease's timing room? Two latencies eat into it: how late the main loop wakes, and how long Redis takes.
import { majorityOf } from './lease/timing.ts';

/** Timing in effect and what was measured, ms. `redisP99Ms` has one entry for each server that answers; null = not measured. */
export type Room = {
  readonly preset: string;
  readonly ttlMs: number;
  readonly renewMs: number;
  readonly servers: number;
  readonly loopLateP99Ms: number | null;
  readonly redisP99Ms: readonly number[];
};

// Below this lease (preset ultra) every round trip counts. (facts: lease, `lease.preset`)
const SHORT_TTL_MS = 900;
const SHORT_REDIS_MS = 20;

/** What leaves no room, one sentence each with what to do; empty = there is room. */
export function roomWarnings(room: Room): string[] {
  const half = room.renewMs / 2;
  const redisMost = room.ttlMs < SHORT_TTL_MS ? Math.min(SHORT_REDIS_MS, half) : half;
  // A round is as fast as the slowest server of the fastest majority.
  const redis = [...room.redisP99Ms].sort((a, b) => a - b)[majorityOf(room.servers) - 1];
  const loop = room.loopLateP99Ms;
  return [
    ...(redis !== undefined && redis >= redisMost
      ? [
          `preset ${room.preset} has no room here: a majority of Redis answers within ${round(redis)} ms (p99), it must be under ${round(redisMost)}: take a slower preset, or bring Redis nearer`,
        ]
      : []),
    ...(loop !== null && loop >= half
      ? [
          `preset ${room.preset} has no room here: the agent's main loop is up to ${round(loop)} ms late (p99), it must be under ${round(half)}: take a slower preset, or give the agent more CPU priority`,
        ]
      : []),
  ];
}

function round(ms: number): number {
  return ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms);
}
