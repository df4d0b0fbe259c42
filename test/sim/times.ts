// Not a checker: measures how long someone is active, and how long a failover and a handover take.
import { worldTimeOf } from './host.ts';
import { leaseConfigOf, type PresetName, waitOf } from './presets.ts';
import type { Watch, World } from './world.ts';

/** The measurements of a run, ms. */
export type Times = {
  readonly watch: Watch;
  readonly failoverMs: number[];
  readonly handoverMs: number[];
  readonly activeMs: () => number;
  /** A new holder acts. */
  readonly elected: () => void;
};

/** Measures a run. */
export function watchTimes(world: World): Times {
  const failoverMs: number[] = [];
  const handoverMs: number[] = [];
  let diedAt = -1;
  let handedAt = -1;
  let activeMs = 0;
  const since = world.hosts.map(() => -1);
  const until = world.hosts.map(() => 0);
  const close = (index: number) => {
    const from = since[index] ?? -1;
    if (from >= 0) activeMs += Math.max(0, Math.min(world.t, until[index] ?? 0) - from);
    since[index] = -1;
  };
  return {
    failoverMs,
    handoverMs,
    activeMs: () => {
      for (let i = 0; i < since.length; i++) close(i);
      return activeMs;
    },
    elected() {
      if (diedAt >= 0) failoverMs.push(world.t - diedAt);
      else if (handedAt >= 0) handoverMs.push(world.t - handedAt);
      diedAt = -1;
      handedAt = -1;
    },
    watch: {
      name: 'times',
      died(host) {
        if (host.turn?.acting === true) diedAt = world.t;
        close(host.index);
      },
      input(host, input) {
        if (input.k === 'command' && host.turn?.acting === true) handedAt = world.t;
      },
      turn(host, turn) {
        const { index } = host;
        if (turn.acting) {
          if ((since[index] ?? -1) < 0) since[index] = world.t;
          else if (world.t > (until[index] ?? 0)) {
            close(index);
            since[index] = world.t;
          }
          until[index] = worldTimeOf(host, turn.lease.validUntil);
        } else close(index);
      },
    },
  };
}

const RTT_MS = 2;
const TICK_MS = 10;

/** What the arithmetic of the lease says of a failover after a node's death when no lockDelay was announced (facts: timing). */
export function expectedFailover(preset: PresetName): { readonly meanMs: number; readonly worstMs: number } {
  const { ttlMs, renewMs, pollMs, driftPpm } = leaseConfigOf(preset, 3, 'clean');
  const observed = waitOf(ttlMs, driftPpm);
  return { meanMs: observed - renewMs / 2 + pollMs / 2 + TICK_MS, worstMs: pollMs + RTT_MS + observed + TICK_MS + RTT_MS };
}
