// The roster: a node outside the newest roster it has seen never claims, only a holder changes it, and in the end it names everybody who lives.
import type { Snap } from '../../../src/core/lease/types.ts';
import { holderOf } from '../nemesis.ts';
import { fail, type Watch, type World } from '../world.ts';

type Seen = { readonly version: number; readonly epoch: number; readonly nodes: readonly string[] };

function rosterIn(snap: Snap): Seen | null {
  if (snap.o === '' || snap.meta === '') return null;
  const { roster, rosterVersion } = JSON.parse(snap.meta) as { readonly roster: readonly string[]; readonly rosterVersion: number };
  return roster.length === 0 ? null : { version: rosterVersion, epoch: Number(snap.e), nodes: roster };
}

/** Watches the roster (R1). */
export function watchRoster(world: World): Watch {
  const newest: (Seen | null)[] = world.hosts.map(() => null);
  const last = world.hosts.map(() => ({ e: '', meta: '' }));
  return {
    name: 'roster',
    moments: [world.endMs - 1],
    moment() {
      const holder = holderOf(world);
      const nodes = holder?.agent?.roster?.() ?? [];
      const missing = world.hosts.filter((h) => h.agent !== null && !nodes.includes(h.id)).map((h) => h.id);
      if (holder !== null && missing.length > 0)
        fail(world, 'R1', `${missing.join(', ')} lives and is not in the roster of ${holder.id} long after healing: ${nodes.join(', ')}`);
    },
    started(host) {
      const { roster } = host.disk;
      newest[host.index] = roster === null ? null : { version: roster.version, epoch: roster.epoch, nodes: roster.nodes };
      last[host.index] = { e: '', meta: '' };
    },
    input(host, input) {
      if (input.k !== 'reply') return;
      const { e, meta } = input.snap;
      if (last[host.index]?.e === e && last[host.index]?.meta === meta) return;
      last[host.index] = { e, meta };
      const seen = rosterIn(input.snap);
      const before = newest[host.index] ?? null;
      if (seen === null) return;
      if (before === null || seen.version > before.version || (seen.version === before.version && seen.epoch > before.epoch))
        newest[host.index] = seen;
    },
    sent(host, { call }) {
      if (call.script !== 'cas' || call.mode !== 'claim') return;
      const seen = newest[host.index] ?? null;
      if (seen !== null && !seen.nodes.includes(host.id))
        fail(world, 'R1', `${host.id} claims epoch ${call.epoch} although the newest roster it saw is ${seen.nodes.join(', ')}`);
      const { roster } = JSON.parse(call.meta) as { readonly roster: readonly string[] };
      if (!roster.includes(host.id)) fail(world, 'R1', `${host.id} claims under a roster without itself`);
    },
  };
}
