// L10: gossip converges: 3 s after everything has healed, every process believes every other one alive, under its newest boot, and stays with it.
// And nobody judges a peer while its own stall is unjudged: what the peers sent may wait unread.
import { fail, type Watch, type World } from '../world.ts';

const CONVERGED_MS = 3000;

/** Watches L10; for whole-core agents. */
export function watchL10(world: World): Watch {
  const check = () => {
    for (const host of world.hosts) {
      const members = host.agent?.members?.() ?? [];
      for (const other of world.hosts) {
        if (other === host) continue;
        const seen = members.find((m) => m.node === other.id);
        if (seen?.state === 'alive' && seen.boot === other.boot) continue;
        const how = seen === undefined ? 'does not know' : `believes ${seen.state} (boot ${seen.boot})`;
        return fail(
          world,
          'L10',
          `${host.id} ${how} ${other.id}, which lives as boot ${other.boot}, ${(world.t - world.stormMs).toFixed(0)} ms after healing`,
        );
      }
    }
  };
  return {
    name: 'L10',
    moments: [world.stormMs + CONVERGED_MS * (1 + world.lease.driftPpm / 1e6), world.endMs - 1],
    moment: check,
    turn(host, turn) {
      if (!host.stalled) return;
      for (const effect of turn.effects) {
        if (effect.k !== 'log' || (effect.event !== 'member_suspect' && effect.event !== 'member_dead')) continue;
        if (/^.* is (suspect|dead): (silent|no sign)/.test(effect.text))
          fail(world, 'L10', `${host.id} judges during its own stall: ${effect.text}`);
      }
    },
  };
}
