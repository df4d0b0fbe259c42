// Carries the faults of the schedule out, and starts and ends processes.
import type { HandOn } from '../../src/core/lease/handon.ts';
import { cutPeers, cutServers, cutToRing } from './cuts.ts';
import { deliver, dropAddress, resume, step } from './driver.ts';
import { type Fault, faultText, type Target } from './faults.ts';
import { startLie } from './gossip.ts';
import { clocksAt, type Host, monoAt } from './host.ts';
import { sendCall } from './network.ts';
import { give, takeBack } from './orders.ts';
import { mixSeed } from './random.ts';
import { flush, refuse, type Server, start, stop } from './redis.ts';
import { itemOf, note, type World } from './world.ts';

// What was down at the end of the storm is up again by then.
const HEAL_MS = 5;

/** Who acts now; null = nobody. */
export function holderOf(world: World): Host | null {
  for (const host of world.hosts) {
    const turn = host.turn;
    if (host.agent !== null && host.frozenSince < 0 && turn?.acting === true && monoAt(host, world.t) < turn.lease.validUntil) return host;
  }
  return null;
}

function pick(world: World, target: Target): Host {
  const holder = holderOf(world);
  if (target.holder && holder !== null) return holder;
  const host = itemOf(world.hosts, target.or % world.hosts.length);
  // Healthy runs spare the holder, whoever it is.
  return world.mode === 'healthy' && host === holder ? itemOf(world.hosts, (host.index + 1) % world.hosts.length) : host;
}

/** Whom a host's configuration names: a founder all founders, a newcomer one of them. */
function peersOf(world: World, host: Host): readonly string[] {
  if (!world.roster.includes(host.id)) return [itemOf(world.roster, host.index % world.roster.length)];
  return world.roster.filter((node) => node !== host.id);
}

// A machine that stands still starts no process; looked at again after this long.
const FROZEN_LOOK_MS = 5;

/** Starts a process on a host, as soon as its machine runs. */
export function startHost(world: World, host: Host, handOn: HandOn | null = null): void {
  if (host.frozenSince >= 0) {
    world.queue.push(world.t + FROZEN_LOOK_MS, () => startHost(world, host, handOn));
    return;
  }
  const now = clocksAt(host, world.t);
  host.inc += 1;
  host.boot = Math.max(host.boot + 1, Math.floor(now.wall));
  host.awaited = null;
  host.bornAt = now.mono;
  host.inbox = [];
  host.stalled = false;
  host.timerAt = Number.POSITIVE_INFINITY;
  host.timerVersion += 1;
  host.turn = null;
  host.hints.gossipEpoch = host.epochOnDisk;
  host.hints.rank = host.index;
  host.hints.suspicious = false;
  host.leader = -1;
  host.agent = world.spawn({
    self: { node: host.id, boot: host.boot },
    roster: world.roster.includes(host.id) ? world.roster : [host.id, ...peersOf(world, host)].sort(),
    lease: world.lease,
    now,
    seed: mixSeed(world.options.seed, host.index, host.inc),
    epochOnDisk: host.epochOnDisk,
    fence: host.fence,
    hints: host.hints,
    peers: peersOf(world, host),
    nofailover: host.nofailover,
    saved: host.disk,
    handOn,
  });
  host.ownerBoot = host.agent.ownerBoot?.() ?? host.boot;
  for (const watch of world.hooks.started) watch(host);
  if (world.options.trace) note(world, host.id, `starts as boot ${host.boot}`);
  step(world, host, { k: 'tick' }, null);
  world.shell?.started(world, host);
  // Everything is off at a start: what an earlier process left up is taken down.
  if (host.effectsValid !== Number.NEGATIVE_INFINITY && host.turn !== null && holderOf(world) !== host) dropAddress(world, host);
}

/** The agent is told that it will be replaced; when it can go, it goes, and what it acted for stays as it is until the next one comes. */
function reload(world: World, host: Host, forMs: number): void {
  if (host.agent?.handOn === undefined || host.awaited !== null) return;
  world.orders += 1;
  const id = world.orders;
  host.awaited = {
    id,
    settle(outcome) {
      const given = outcome === 'done' ? (host.agent?.handOn?.(clocksAt(host, world.t)) ?? null) : null;
      // A holder that cannot hand its lease on stays; the real one would give it away first, and one that gives it up ends after the address.
      if (given === null && (host.turn?.lease.validUntil !== Number.NEGATIVE_INFINITY || host.vip === 'dropping')) return;
      for (const watch of world.hooks.died) watch(host);
      world.shell?.died(world, host);
      if (world.options.trace) note(world, host.id, given === null ? 'ends' : `hands epoch ${given.epoch} on`);
      host.agent = null;
      host.turn = null;
      host.inbox = [];
      host.vipVersion += 1;
      host.vip = 'off';
      world.queue.push(world.t + forMs, () => startHost(world, host, given));
    },
  };
  deliver(world, host, host.inc, { input: { k: 'command', id, command: { k: 'handOn' } }, call: null, timer: false });
}

function kill(world: World, host: Host, forMs: number, hook: boolean): void {
  if (host.agent === null) return;
  for (const watch of world.hooks.died) watch(host);
  world.shell?.died(world, host);
  const lease = host.turn?.acting === true ? host.turn.lease : null;
  const me = `${host.id}#${host.ownerBoot}`;
  host.agent = null;
  host.turn = null;
  host.inbox = [];
  // What the process was about to do with the address it does no more; without a fence the order has left it already.
  if (host.fence || host.vip !== 'dropping') host.vipVersion += 1;
  host.vip = 'off';
  if (hook && lease !== null) world.queue.push(world.t + host.random.between(20, 150), () => stopHook(world, host, me, lease.epoch));
  world.queue.push(world.t + forMs, () => startHost(world, host));
}

/** The service manager's stop hook: the address down first, then RELEASE for the dead process. */
function stopHook(world: World, host: Host, me: string, epoch: number): void {
  if (host.agent !== null || host.frozenSince >= 0 || host.effectsEpoch !== epoch) return;
  if (world.options.trace) note(world, host.id, `stop hook releases epoch ${epoch}`);
  host.effectsValid = Number.NEGATIVE_INFINITY;
  const script = { script: 'release', me, epoch, nonce: `${me}:hook`, heir: '' } as const;
  // Its own client, outside any process: the answer interests nobody.
  for (const { index } of world.servers) {
    sendCall(world, host, { host: host.index, inc: -1, server: index, op: 0, call: script, sentAt: monoAt(host, world.t), settled: false });
  }
}

function pause(world: World, host: Host, forMs: number): void {
  host.pausedUntil = Math.max(host.pausedUntil, world.t + forMs);
  world.queue.push(host.pausedUntil, () => resume(world, host));
}

/** The whole machine stands still, its monotonic clock too; meanwhile it answers nobody. */
function freeze(world: World, host: Host, forMs: number): void {
  if (host.frozenSince >= 0) return;
  host.frozenSince = world.t;
  host.effectsValid = Number.NEGATIVE_INFINITY;
  world.queue.push(world.t + forMs, () => {
    host.monoOffset -= host.rate * (world.t - host.frozenSince);
    host.frozenSince = -1;
    resume(world, host);
  });
}

function refuseFor(world: World, server: Server, why: 'oom' | 'readonly' | 'loading', forMs: number): void {
  refuse(server, why);
  world.queue.push(world.t + forMs, () => refuse(server, 'none'));
}

function restart(world: World, fault: Extract<Fault, { k: 'serverRestart' }>): void {
  const server = itemOf(world.servers, fault.server);
  if (!server.up) return;
  stop(server);
  const asOf = fault.data === 'empty' ? Number.NEGATIVE_INFINITY : fault.data === 'back' ? world.t - fault.backMs : world.t;
  world.queue.push(world.t + fault.forMs, () => {
    start(server, world.t, asOf);
    if (fault.loadingMs > 0) refuseFor(world, server, 'loading', fault.loadingMs);
  });
}

function handOver(world: World, to: number): void {
  const holder = holderOf(world);
  if (holder === null || holder.pausedUntil > world.t) return;
  const heir = to < 0 ? null : itemOf(world.hosts, to === holder.index ? (to + 1) % world.hosts.length : to);
  const command = { k: 'switchover', to: heir?.id ?? '', by: 'nemesis', dryRun: false } as const;
  world.orders += 1;
  step(world, holder, { k: 'command', id: world.orders, command }, null);
}

function flipFence(world: World, host: Host): void {
  if (host.agent === null) return;
  const { inc } = host;
  const flip = () => {
    if (host.inc !== inc || host.agent === null) return;
    if (host.pausedUntil > world.t || host.frozenSince >= 0) world.queue.push(Math.max(host.pausedUntil, world.t + 50) + 0.2, flip);
    else step(world, host, { k: 'fence', kind: host.fence ? 'script' : 'nft' }, null);
  };
  flip();
}

function stepWall(host: Host, byMs: number): void {
  host.wallOffset += byMs;
}

function strike(world: World, fault: Fault): void {
  switch (fault.k) {
    case 'kill':
      kill(world, pick(world, fault.node), fault.forMs, fault.hook);
      return;
    case 'pause':
      pause(world, pick(world, fault.node), fault.forMs);
      return;
    case 'freeze':
      freeze(world, pick(world, fault.node), fault.forMs);
      return;
    case 'wallStep':
      stepWall(pick(world, fault.node), fault.byMs);
      return;
    case 'ollama':
      pick(world, fault.node).ollamaDownUntil = world.t + fault.forMs;
      return;
    case 'fence':
      flipFence(world, pick(world, fault.node));
      return;
    case 'lie':
      startLie(world, pick(world, fault.node), fault.forMs, fault.rank);
      return;
    case 'handover':
      handOver(world, fault.to);
      return;
    case 'serverStall': {
      const server = itemOf(world.servers, fault.server);
      server.stallUntil = Math.max(server.stallUntil, world.t + fault.forMs);
      return;
    }
    case 'serverRestart':
      restart(world, fault);
      return;
    case 'flush':
      flush(itemOf(world.servers, fault.server), world.t);
      return;
    case 'refuse':
      refuseFor(world, itemOf(world.servers, fault.server), fault.why, fault.forMs);
      return;
    case 'cutServer':
      cutServers(world, pick(world, fault.node), fault.server, fault.dir, fault.forMs);
      return;
    case 'cutPeer':
      cutPeers(world, pick(world, fault.node), fault.peer, fault.dir, fault.forMs);
      return;
    case 'reload':
      reload(world, pick(world, fault.node), fault.forMs);
      return;
    case 'order':
      give(world, pick(world, fault.node), fault.order);
      return;
    case 'leave': {
      const host = pick(world, fault.node);
      give(world, host, { k: 'leave' });
      world.queue.push(world.t + fault.forMs - 1, () => kill(world, host, 1, false));
      return;
    }
    case 'join':
      startHost(world, itemOf(world.hosts, fault.host));
      return;
    case 'ring':
      cutToRing(world, fault.forMs);
      return;
  }
}

/** Puts the schedule into the queue, less the faults that are to be left out. Healthy and clean runs begin with a settled cluster. */
export function scheduleFaults(world: World): void {
  const quiet = world.mode === 'clean' || world.mode === 'healthy';
  const settledAt = quiet ? 2 * world.lease.ttlMs + 2000 : 0;
  world.faults.forEach((fault, index) => {
    if (world.options.without.has(index) || fault.at < settledAt) return;
    world.queue.push(fault.at, () => {
      if (world.options.trace) note(world, '**', faultText(fault, index));
      strike(world, fault);
    });
  });
  world.queue.push(world.stormMs, () => {
    world.calm = true;
  });
  if (world.shell !== null) world.queue.push(world.stormMs + HEAL_MS, () => takeBack(world));
}
