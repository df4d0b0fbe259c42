// Links that are cut for a while.
import type { Cut } from './faults.ts';
import type { Host } from './host.ts';
import type { World } from './world.ts';

function cutLinks(links: Float64Array, from: number, count: number, until: number): void {
  for (let i = 0; i < count; i++) links[from + i] = Math.max(links[from + i] ?? 0, until);
}

/** Cuts a host from a server, or (-1) from all. */
export function cutServers(world: World, host: Host, server: number, dir: Cut, forMs: number): void {
  const until = world.t + forMs;
  const n = world.servers.length;
  const from = host.index * n + Math.max(0, server);
  const count = server < 0 ? n : 1;
  if (dir !== 'in') cutLinks(world.cutRequest, from, count, until);
  if (dir !== 'out') cutLinks(world.cutAnswer, from, count, until);
}

/** Cuts a host from another one, or (-1) from all. */
export function cutPeers(world: World, host: Host, peer: number, dir: Cut, forMs: number): void {
  const n = world.hosts.length;
  const until = world.t + forMs;
  for (const other of world.hosts) {
    if (other === host || (peer >= 0 && other.index !== peer % n)) continue;
    if (dir !== 'in') cutLinks(world.cutPeer, host.index * n + other.index, 1, until);
    if (dir !== 'out') cutLinks(world.cutPeer, other.index * n + host.index, 1, until);
  }
}

/** Only the links from each host to its successor stay. */
export function cutToRing(world: World, forMs: number): void {
  const n = world.hosts.length;
  for (let from = 0; from < n; from++) {
    for (let to = 0; to < n; to++) if (to !== from && to !== (from + 1) % n) cutLinks(world.cutPeer, from * n + to, 1, world.t + forMs);
  }
}
