// L10: gossip converges: 3 s after everything has healed, every process believes every other one alive, under its newest boot, and stays with it.
// And nobody accuses a peer while its own stall is unjudged: what the peers sent may wait unread. A successful indirect probe clears the suspect
// at once, and one that failed clears nobody.
import type { Host } from '../host.ts';
import { fail, type Watch, type World } from '../world.ts';

const CONVERGED_MS = 3000;

function accusedBy(host: Host): string[] {
  return (host.agent?.members?.() ?? []).filter((m) => m.accusers.includes(host.id)).map((m) => m.node);
}

type Probed = { readonly target: string; readonly ack: boolean | null; readonly accused: boolean };

function judgeProbe(world: World, host: Host, { target, ack, accused }: Probed): void {
  const member = (host.agent?.members?.() ?? []).find((m) => m.node === target);
  if (member === undefined || (member.state !== 'alive' && member.state !== 'suspect')) return;
  const still = member.accusers.includes(host.id);
  if (ack === true && still) fail(world, 'L10', `${host.id} accuses ${target}, which an indirect probe has just reached`);
  if (ack !== true && accused && !still) fail(world, 'L10', `${host.id} clears ${target} by an indirect probe that did not reach it`);
}

/** Watches L10; for whole-core agents. */
export function watchL10(world: World): Watch {
  const check = () => {
    for (const host of world.hosts) {
      const members = host.agent?.members?.() ?? [];
      if (host.agent === null) continue;
      for (const other of world.hosts) {
        if (other === host || other.agent === null) continue;
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
  let probed: Probed | null = null;
  const accused: string[][] = world.hosts.map(() => []);
  return {
    name: 'L10',
    moments: [world.stormMs + CONVERGED_MS * (1 + world.lease.driftPpm / 1e6), world.endMs - 1],
    moment: check,
    input(host, input) {
      if (host.stalled) accused[host.index] = accusedBy(host);
      probed = input.k === 'probed' ? { ...input, accused: accusedBy(host).includes(input.target) } : null;
    },
    turn(host) {
      if (probed !== null) judgeProbe(world, host, probed);
      if (!host.stalled) return;
      const before = accused[host.index] ?? [];
      const fresh = accusedBy(host).filter((node) => !before.includes(node));
      if (fresh.length > 0) fail(world, 'L10', `${host.id} accuses ${fresh.join(', ')} during its own stall`);
    },
  };
}
