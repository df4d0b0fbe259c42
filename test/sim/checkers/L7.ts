// L7: once the faults stop and everything is connected, someone is active within 2 T_obs + 1 s (+ L), and stays while no fault occurs.
import { holderOf } from '../nemesis.ts';
import { waitOf } from '../presets.ts';
import { fail, type Watch, type World } from '../world.ts';

/** How long after the last fault someone must be active, world ms. */
export function livenessBoundMs(world: Pick<World, 'lease'>): number {
  const { ttlMs, lockDelayMs, driftPpm } = world.lease;
  // The bound is the agents' own time; the world's may be the slower one.
  return (2 * waitOf(ttlMs, driftPpm) + 1000 + waitOf(lockDelayMs, driftPpm)) * (1 + driftPpm / 1e6);
}

/** Watches L7. */
export function watchL7(world: World): Watch {
  const dueAt = world.stormMs + livenessBoundMs(world);
  let settled = '';
  const stateOf = () => world.hosts.map((h) => `${h.id}: ${h.turn?.reason ?? 'dead'}`).join('; ');
  return {
    name: 'L7',
    moments: [dueAt],
    moment() {
      const holder = holderOf(world);
      if (holder === null)
        return fail(world, 'L7', `nobody is active ${(world.t - world.stormMs).toFixed(0)} ms after the last fault. ${stateOf()}`);
      settled = `${holder.id}/${holder.turn?.lease.epoch}`;
    },
    turn(host, turn) {
      if (settled === '') return;
      const token = `${host.id}/${turn.lease.epoch}`;
      if (turn.acting && token !== settled) fail(world, 'L7', `churn: ${token} follows ${settled} although nothing is wrong`);
      if (!turn.acting && host.turn?.acting === true)
        fail(world, 'L7', `churn: ${settled} stops acting although nothing is wrong: ${turn.reason}`);
    },
  };
}
