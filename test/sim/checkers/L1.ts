// L1: at most one agent is active inside its validity, at every instant; and nobody is active while anything of another node may still answer
// for the address. Whether that node's process lives, is stopped or dead, its validity (plus lockDelay where no fence guards it) runs on its own clock.
// What L1 rests on is checked as well: lockDelay is fixed for an epoch, and an epoch that announced 0 is over when its holder loses the fence.
import { effectsEndOf, monoAt } from '../host.ts';
import { fail, type Watch, type World } from '../world.ts';

function lockDelayOf(meta: string): number {
  const value: unknown = JSON.parse(meta);
  return typeof value === 'object' && value !== null && 'lockDelay' in value ? Number(value.lockDelay) : Number.NaN;
}

/** Watches L1. */
export function watchL1(world: World): Watch {
  const { hosts } = world;
  const L = world.lease.lockDelayMs;
  const announced = new Map<string, number>();
  return {
    name: 'L1',
    started() {
      if (announced.size > 64) announced.clear();
    },
    sent(host, { call }) {
      if (L === 0 || (call.script !== 'renew' && call.script !== 'cas')) return;
      // The zombie write is why: a renewal may be executed after one that announced something else.
      const key = `${call.me}/${call.epoch}`;
      const lockDelay = lockDelayOf(call.meta);
      const first = announced.get(key);
      if (first === undefined) announced.set(key, lockDelay);
      else if (first !== lockDelay) fail(world, 'L1', `${host.id} announces lockDelay ${lockDelay} after ${first} under the same epoch`);
    },
    turn(host, turn) {
      if (!turn.acting) return;
      if (L > 0 && turn.lease.lockDelayMs === 0 && !host.fence) {
        fail(world, 'L1', `${host.id} acts without a fence under epoch ${turn.lease.epoch}, which announced that there is one`);
      }
      for (let i = 0; i < hosts.length; i++) {
        const other = hosts[i];
        if (other === undefined || other === host || other.effectsValid === Number.NEGATIVE_INFINITY) continue;
        const left = effectsEndOf(other, L) - monoAt(other, world.t);
        if (left <= 1e-6) continue;
        const how = other.agent === null ? 'dead' : other.pausedUntil > world.t ? 'stopped' : other.turn?.acting ? 'active' : 'not active';
        fail(
          world,
          'L1',
          `${host.id} is active under epoch ${turn.lease.epoch} while effects of ${other.id} (${how}, epoch ${other.effectsEpoch}) last ${left.toFixed(1)} ms more`,
        );
      }
    },
  };
}
