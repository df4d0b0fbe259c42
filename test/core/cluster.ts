// Three whole cores in one virtual time: one register that answers at once, messages that arrive a millisecond later, addresses that obey.
import type { CoreConfig } from '../../src/core/config.ts';
import type { Command, Effect, Input, Turn } from '../../src/core/io.ts';
import type { LeaseMeta, Snap } from '../../src/core/lease/types.ts';
import type { Inventory } from '../../src/core/replication/types.ts';
import type { CoreState } from '../../src/core/state.ts';
import { createCore, step } from '../../src/core/step.ts';
import { execute, standard, vacant } from './lease/kit.ts';

type Event = { at: number; seq: number; run: () => void };
export type Peer = {
  node: string;
  state: CoreState;
  turn: Turn<CoreState>;
  alive: boolean;
  log: string[];
  effects: Effect[];
  vipOn: boolean;
};

const WALL = 1_700_000_000_000;

function configOf(node: string, nodes: readonly string[], over: Partial<CoreConfig> = {}): CoreConfig {
  return {
    self: { node, boot: 1000 },
    cluster: 'lab',
    address: `${node}:11440`,
    version: 'test',
    candidate: true,
    priority: 0,
    nofailover: false,
    roster: nodes,
    peers: nodes.filter((n) => n !== node).map((n) => ({ node: n, address: `${n}:11440` })),
    lease: standard,
    health: { probeMs: 1000, timeoutMs: 2000, failures: 3, recoveries: 2, startMs: 60_000, required: [] },
    heartbeatMs: 200,
    stallMs: 100,
    vip: 'fence-required',
    replication: { include: [/^.*$/], exclude: [], required: [] },
    seed: node.charCodeAt(0),
    epochOnDisk: 0,
    ...over,
  };
}

export function createCluster(nodes: readonly string[], over: (node: string) => Partial<CoreConfig> = () => ({})) {
  let mono = 0;
  let seq = 0;
  let register: Snap = vacant();
  const events: Event[] = [];
  let orders = 1000;
  const cutRedis = new Set<string>();
  /** Nodes that no settings record reaches. */
  const deaf = new Set<string>();
  const peers = new Map<string, Peer>();
  const now = () => ({ mono, boot: mono, wall: WALL + mono });
  const later = (ms: number, run: () => void) => events.push({ at: mono + ms, seq: seq++, run });

  function put(peer: Peer, input: Input): void {
    if (!peer.alive) return;
    peer.turn = step(peer.state, input, now());
    peer.state = peer.turn.state;
    for (const effect of peer.turn.effects) perform(peer, effect);
    const want = peer.turn.desired.vip;
    if (want.on && !peer.vipOn)
      later(
        1,
        () => want.epoch === peer.state.leaseDesired.epoch && put(peer, { k: 'granted', epoch: want.epoch, phasesMs: { onMs: 30 } }),
      );
    if (!want.on && peer.vipOn) later(1, () => put(peer, { k: 'ended', epoch: want.epoch, phasesMs: { offMs: 1 } }));
    peer.vipOn = want.on;
  }

  function perform(peer: Peer, effect: Effect): void {
    peer.effects.push(effect);
    switch (effect.k) {
      case 'redis': {
        const { server, op } = effect;
        if (cutRedis.has(peer.node)) {
          later(150, () => put(peer, { k: 'fail', server, op, why: 'timeout' }));
          return;
        }
        const answer = execute(register, effect.call);
        register = answer.snap;
        later(1, () => put(peer, { k: 'reply', server, op, code: answer.code, snap: answer.snap }));
        return;
      }
      case 'send':
        later(1, () => {
          const to = peers.get(effect.to);
          if (effect.msg.k === 'settings' && deaf.has(effect.to)) return;
          if (to?.alive === true && peer.alive) put(to, { k: 'peer', from: peer.node, msg: effect.msg });
        });
        return;
      case 'fetchInventory':
        later(2, () => {
          const from = peers.get(effect.from);
          if (from?.alive !== true || from.state.own === null) return;
          put(peer, { k: 'peerInventory', from: from.node, boot: 1000, epoch: from.state.holder.epoch, inventory: from.state.own });
        });
        return;
      case 'log':
        peer.log.push(`${Math.round(mono)} ${effect.event}`);
        return;
      default:
        return;
    }
  }

  function run(untilMs: number): void {
    while (mono < untilMs) {
      const wakes = [...peers.values()].filter((p) => p.alive).map((p) => p.turn.wakeAt);
      const next = Math.min(untilMs, mono + 50, ...events.map((e) => e.at), ...wakes.map((w) => Math.max(w, mono + 0.1)));
      mono = next;
      const due = events.filter((e) => e.at <= mono).sort((a, b) => a.at - b.at || a.seq - b.seq);
      for (const event of due) events.splice(events.indexOf(event), 1);
      for (const event of due) event.run();
      for (const peer of peers.values()) if (peer.alive) put(peer, { k: 'tick' });
    }
  }

  for (const node of nodes) {
    const state = createCore(configOf(node, nodes, over(node)), now());
    const peer: Peer = { node, state, turn: step(state, { k: 'tick' }, now()), alive: true, log: [], effects: [], vipOn: false };
    peers.set(node, peer);
  }
  const get = (node: string): Peer => {
    const peer = peers.get(node);
    if (peer === undefined) throw new Error(`no node ${node}`);
    return peer;
  };
  for (const peer of peers.values()) {
    put(peer, { k: 'fence', kind: 'nft' });
    healthy(peer.node);
    for (const other of nodes) if (other !== peer.node) put(peer, { k: 'link', peer: other, up: true, hard: false });
  }

  function healthy(node: string): void {
    const peer = get(node);
    put(peer, { k: 'evidence', evidence: { k: 'conn', up: true } });
    put(peer, { k: 'evidence', evidence: { k: 'http', status: 200, ms: 1, version: '0.33.0' } });
    put(peer, { k: 'evidence', evidence: { k: 'tags', status: 200, ms: 1, names: [] } });
  }

  /** A new process of a node that was killed, with links to all that live. */
  function revive(node: string, more: Partial<CoreConfig> = {}): void {
    const boot = get(node).state.config.self.boot + 1000;
    const state = createCore(configOf(node, nodes, { ...over(node), self: { node, boot }, ...more }), now());
    peers.set(node, { ...get(node), state, turn: step(state, { k: 'tick' }, now()), alive: true, vipOn: false });
    put(get(node), { k: 'fence', kind: 'nft' });
    healthy(node);
    for (const other of peers.values()) {
      if (other.node === node || !other.alive) continue;
      put(other, { k: 'link', peer: node, up: true, hard: false });
      put(get(node), { k: 'link', peer: other.node, up: true, hard: false });
    }
  }

  return {
    get,
    revive,
    /** Puts an order to a node; the answers of all its orders are in `answers`. */
    order(node: string, command: Command): number {
      put(get(node), { k: 'command', id: ++orders, command });
      return orders;
    },
    answer: (id: number) =>
      [...peers.values()].flatMap((p) => p.effects).flatMap((e) => (e.k === 'commandResult' && e.id === id ? [e.result] : []))[0],
    history: (node: string) => get(node).effects.flatMap((e) => (e.k === 'history' ? [e.entry] : [])),
    wall: () => WALL + mono,
    meta: () => JSON.parse(register.meta) as LeaseMeta,
    put: (node: string, input: Input) => put(get(node), input),
    run,
    healthy,
    now: () => mono,
    kill(node: string) {
      get(node).alive = false;
      for (const peer of peers.values()) if (peer.alive && peer.node !== node) put(peer, { k: 'link', peer: node, up: false, hard: true });
    },
    cutRedis,
    deaf,
    active: () => [...peers.values()].filter((p) => p.alive && p.turn.desired.vip.on).map((p) => p.node),
    /** Runs until exactly one node is active, at most `ms`; returns its name. */
    elect(ms: number): string {
      const limit = mono + ms;
      while (mono < limit) {
        run(mono + 5);
        const active = [...peers.values()].filter((p) => p.alive && p.turn.desired.vip.on);
        if (active[0] !== undefined) return active[0].node;
      }
      throw new Error('nobody became active');
    },
  };
}

export const inventory = (version: number, names: readonly string[]): Inventory => ({
  version,
  refused: null,
  models: names.map((name) => ({
    path: `registry.ollama.ai/library/${name}/latest`,
    manifestDigest: 'ab'.repeat(32),
    manifestBytes: 100,
    sizeBytes: 1000,
    complete: true,
    missingBytes: 0,
    weights: 'cd'.repeat(32),
  })),
});
