// What whole-core agents need of the world beside the lease's: streams between agents, probes, tables, evidence about a local Ollama, the fence.
import type { Effect, Input } from '../../src/core/io.ts';
import { deliver } from './driver.ts';
import { clocksAt, type Host } from './host.ts';
import { itemOf, type Shell, type World } from './world.ts';

const PROBE_MS = 1000;
const ASK_TIMEOUT_MS = 500;
const REDIAL_MS = 500;

type Streams = {
  /** Pairs of hosts with a stream, and the processes at its ends. */
  readonly open: Map<number, number>;
  /** Who dials whom: `a/incA>b`. */
  readonly wanted: Set<string>;
};

/** The shell of a world of whole-core agents. */
export function createShell(): Shell {
  const streams: Streams = { open: new Map(), wanted: new Set() };
  return {
    linked: (a, b) => isOpen(streams, a, b),
    started(world, host) {
      fact(world, host, { k: 'fence', kind: host.fence ? 'nft' : 'script' }, 1);
      fact(world, host, { k: 'evidence', evidence: { k: 'conn', up: true } }, 2);
      probe(world, host, host.inc);
    },
    died(world, host) {
      // A killed process's kernel closes its connections, a lost host says nothing.
      const loud = host.random.chance(0.5);
      for (const other of world.hosts) {
        if (!isOpen(streams, host, other)) continue;
        streams.open.delete(pairOf(host, other));
        if (!loud || isCut(world, host, other)) continue;
        const { inc } = other;
        world.queue.push(world.t + host.random.between(0.3, 3), () => {
          // A driver tells of its newest stream only: the end of one that the next process has replaced already is no news.
          if (isOpen(streams, host, other)) return;
          deliver(world, other, inc, { input: { k: 'link', peer: host.id, up: false, hard: true }, call: null, timer: false });
        });
      }
    },
    granted(world, host, epoch) {
      fact(world, host, { k: 'granted', epoch, phasesMs: {} }, host.random.between(1, 5));
    },
    effect(world, host, effect) {
      carryOut(world, host, effect, streams);
    },
  };
}

const HOSTS_MAX = 1024;
const STARTS_MAX = 1e6;

function pairOf(a: Host, b: Host): number {
  return a.index < b.index ? a.index * HOSTS_MAX + b.index : b.index * HOSTS_MAX + a.index;
}

function endsOf(a: Host, b: Host): number {
  return a.index < b.index ? a.inc * STARTS_MAX + b.inc : b.inc * STARTS_MAX + a.inc;
}

/** A stream joins the present processes of both hosts. */
function isOpen(streams: Streams, a: Host, b: Host): boolean {
  return streams.open.get(pairOf(a, b)) === endsOf(a, b);
}

function isCut(world: World, from: Host, to: Host): boolean {
  return (world.cutPeer[from.index * world.hosts.length + to.index] ?? 0) > world.t;
}

function runs(world: World, host: Host): boolean {
  return host.agent !== null && host.pausedUntil <= world.t && host.frozenSince < 0;
}

function fact(world: World, host: Host, input: Input, afterMs: number): void {
  const { inc } = host;
  world.queue.push(world.t + afterMs, () => deliver(world, host, inc, { input, call: null, timer: false }));
}

function hostOf(world: World, node: string): Host | null {
  const index = world.names.indexOf(node);
  return index < 0 ? null : itemOf(world.hosts, index);
}

/** The probe of the local Ollama goes on as long as its process lives. */
function probe(world: World, host: Host, inc: number): void {
  if (host.inc !== inc || host.agent === null) return;
  if (host.pausedUntil <= world.t && host.frozenSince < 0) {
    const down = host.ollamaDownUntil > world.t;
    const input: Input = down
      ? { k: 'evidence', evidence: { k: 'connect', result: 'refused' } }
      : { k: 'evidence', evidence: { k: 'http', status: 200, ms: 3, version: '0.0.0' } };
    deliver(world, host, inc, { input, call: null, timer: false });
  }
  world.queue.push(world.t + PROBE_MS * host.random.between(0.95, 1.05), () => probe(world, host, inc));
}

function carryOut(world: World, host: Host, effect: Effect, streams: Streams): void {
  switch (effect.k) {
    case 'dial':
      dial(world, host, hostOf(world, effect.peer), streams);
      return;
    case 'pushPull':
      exchange(world, host, hostOf(world, effect.to), effect.members);
      return;
    case 'directProbe': {
      const target = hostOf(world, effect.target);
      const open = target !== null && !isCut(world, host, target) && !isCut(world, target, host);
      // A stopped process's kernel still accepts connections.
      const ok = open && target.agent !== null && target.frozenSince < 0;
      fact(world, host, { k: 'dialled', target: effect.target, ok }, open ? host.random.between(0.5, 3) : ASK_TIMEOUT_MS);
      return;
    }
    case 'indirectProbe': {
      const { via: through, target: wanted } = effect;
      const via = hostOf(world, through);
      const target = hostOf(world, wanted);
      const asked = via !== null && runs(world, via) && !isCut(world, host, via) && !isCut(world, via, host);
      if (!asked || target === null) {
        fact(world, host, { k: 'probed', target: wanted, via: through, ack: null }, ASK_TIMEOUT_MS);
        return;
      }
      const ack = runs(world, target) && !isCut(world, via, target) && !isCut(world, target, via);
      fact(world, host, { k: 'probed', target: wanted, via: through, ack }, ack ? host.random.between(1, 6) : ASK_TIMEOUT_MS);
      return;
    }
    default:
      return;
  }
}

/** The connection manager: once it has been told to dial, it tries again and again, and whenever the stream is gone. */
function dial(world: World, host: Host, peer: Host | null, streams: Streams): void {
  if (peer === null) return;
  const wanted = `${host.index}/${host.inc}>${peer.index}`;
  if (streams.wanted.has(wanted)) return;
  streams.wanted.add(wanted);
  const { inc } = host;
  const attempt = () => {
    if (host.inc !== inc) {
      streams.wanted.delete(wanted);
      return;
    }
    connect(world, host, peer, streams);
    world.queue.push(world.t + REDIAL_MS * host.random.between(0.5, 1), attempt);
  };
  world.queue.push(world.t + host.random.between(0.5, 4), attempt);
}

function connect(world: World, host: Host, peer: Host, streams: Streams): void {
  if (!runs(world, host) || !runs(world, peer) || isOpen(streams, host, peer)) return;
  if (isCut(world, host, peer) || isCut(world, peer, host)) return;
  streams.open.set(pairOf(host, peer), endsOf(host, peer));
  fact(world, host, { k: 'link', peer: peer.id, up: true, hard: false }, 0);
  fact(world, peer, { k: 'link', peer: host.id, up: true, hard: false }, host.random.between(0, 1));
}

type Table = Extract<Input, { k: 'table' }>['members'];

/** Push and pull: each gets the other's table. */
function exchange(world: World, host: Host, peer: Host | null, members: Table): void {
  if (peer === null || isCut(world, host, peer) || isCut(world, peer, host)) return;
  const { inc } = host;
  world.queue.push(world.t + host.random.between(0.5, 5), () => {
    if (!runs(world, peer) || host.inc !== inc) return;
    const theirs = peer.agent?.table?.(clocksAt(peer, world.t)) ?? [];
    fact(world, peer, { k: 'table', from: host.id, members }, 0);
    fact(world, host, { k: 'table', from: peer.id, members: theirs }, host.random.between(0.5, 5));
  });
}
