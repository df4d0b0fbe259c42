// What gossip would tell lease-only agents: who is alive, who leads, the highest epoch; and its lies. Advice, never a decision.
import { type Host, monoAt } from './host.ts';
import { waitOf } from './presets.ts';
import type { World } from './world.ts';

const PERIOD_MS = 200;
const DEAD_AFTER_MS = 700;
const SUSPECT_AFTER_MS = 450;

/** Starts the rounds of gossip. */
export function startGossip(world: World): void {
  const tick = () => {
    for (const to of world.hosts) if (listens(world, to)) hear(world, to);
    world.queue.push(world.t + PERIOD_MS, tick);
  };
  world.queue.push(1, tick);
}

function listens(world: World, host: Host): boolean {
  return host.agent !== null && host.pausedUntil <= world.t && host.frozenSince < 0;
}

function hear(world: World, to: Host): void {
  for (const from of world.hosts) {
    if (from !== to && listens(world, from) && (world.cutPeer[from.index * world.hosts.length + to.index] ?? 0) <= world.t)
      learn(world, from, to);
  }
  to.hints.rank = rankOf(world, to);
  to.hints.suspicious = to.leader >= 0 && to.leader !== to.index && world.t - (to.heardAt[to.leader] ?? 0) > SUSPECT_AFTER_MS;
}

/** `to` hears a frame of `from`. */
function learn(world: World, from: Host, to: Host): void {
  to.heardAt[from.index] = world.t;
  to.hints.gossipEpoch = Math.max(to.hints.gossipEpoch, from.epochOnDisk);
  const lease = from.turn?.lease;
  if (from.turn?.acting === true && lease !== undefined && lease.epoch > to.leaderEpoch) {
    to.leader = from.index;
    to.leaderEpoch = lease.epoch;
  }
}

/** A new holder tells everybody at once; now and then a push is lost. */
export function pushLeader(world: World, holder: Host): void {
  for (const to of world.hosts) {
    if (to === holder || (world.mode !== 'clean' && holder.random.chance(0.1))) continue;
    if ((world.cutPeer[holder.index * world.hosts.length + to.index] ?? 0) > world.t) continue;
    world.queue.push(world.t + holder.random.between(1, 30), () => {
      if (listens(world, to)) learn(world, holder, to);
    });
  }
}

function isYoung(world: World, host: Host): boolean {
  const { ttlMs, lockDelayMs, driftPpm } = world.lease;
  return monoAt(host, world.t) - host.bornAt < waitOf(ttlMs + lockDelayMs, driftPpm);
}

function rankOf(world: World, self: Host): number {
  if (self.lieUntil > world.t) return self.lieRank;
  const { ranks } = world.weather;
  if (ranks === 'zero') return 0;
  if (ranks === 'random' && !world.calm) return self.random.below(world.hosts.length);
  let rank = 0;
  for (const other of world.hosts) {
    if (other === self || other.index === self.leader) continue;
    const heard = world.t - (self.heardAt[other.index] ?? 0) < DEAD_AFTER_MS;
    const first = other.index < self.index || isYoung(world, self);
    if (heard && !isYoung(world, other) && first) rank += 1;
  }
  return rank;
}

/** Gossip lies to one host: its rank is wrong, and the holder looks suspect. */
export function startLie(world: World, host: Host, forMs: number, rank: number): void {
  host.lieUntil = world.t + forMs;
  host.lieRank = rank;
  host.hints.rank = rank;
  host.hints.suspicious = true;
}
