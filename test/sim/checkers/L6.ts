// L6: after StepDown(e) or RELEASE(e) nothing acts under e; and neither is sent before the effects of e have ended.
import { effectsEndOf } from '../host.ts';
import { fail, type Watch, type World } from '../world.ts';

/** Watches L6. */
export function watchL6(world: World): Watch {
  const done = world.hosts.map(() => 0);
  const ended = (index: number, epoch: number, mono: number, how: string) => {
    const host = world.hosts[index];
    if (host === undefined) return;
    const left = host.effectsEpoch === epoch ? effectsEndOf(host, world.lease.lockDelayMs) - mono : 0;
    if (left > 1e-6) fail(world, 'L6', `${host.id} sends ${how} of epoch ${epoch} while its effects last ${left.toFixed(1)} ms more`);
    done[index] = Math.max(done[index] ?? 0, epoch);
  };
  return {
    name: 'L6',
    started(host) {
      done[host.index] = 0;
    },
    sent(host, { call }, mono) {
      if (call.script === 'release') ended(host.index, call.epoch, mono, 'RELEASE');
    },
    peerSent(host, _to, msg, mono) {
      if (msg.k === 'stepDown') ended(host.index, msg.epoch, mono, 'StepDown');
    },
    turn(host, turn) {
      if (turn.acting && turn.lease.epoch <= (done[host.index] ?? 0))
        fail(world, 'L6', `${host.id} acts under epoch ${turn.lease.epoch}, which it gave up`);
    },
  };
}
