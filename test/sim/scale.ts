// Large clusters in virtual time: how much an agent sends, how much Redis is asked, how soon a death is noticed. Whole cores, nothing modelled away.
import { messageOut, tableOut } from '../../src/drivers/grpc/convert.ts';
import { MemberTable } from '../../src/gen/peer.ts';
import { castOf, PRODUCTION_CORE } from './agents.ts';
import { createShell } from './core-shell.ts';
import type { Host } from './host.ts';
import { holderOf, startHost } from './nemesis.ts';
import { NO_FILTER, optionsOf } from './plan.ts';
import type { PresetName } from './presets.ts';
import { attach, createWorld, itemOf, type Shell, type World } from './world.ts';

/** What to measure. */
export type ScaleOptions = {
  /** Number of agents, 3 to 256. */
  readonly nodes: number;
  /** `standard` unless given. */
  readonly preset?: PresetName;
  /** Redis servers, 1, 3 or 5; 3 unless given. */
  readonly servers?: number;
  /** Length of the measurement after the cluster has settled, virtual ms; 20,000 unless given. */
  readonly measureMs?: number;
  readonly seed?: number;
};

/** Sent by one agent in one second, on average. */
export type Sent = { readonly messagesPerNodePerSecond: number; readonly bytesPerNodePerSecond: number };

/** The measurements; the fields of `Sent` are those of an ordinary node. Bytes are encoded messages, without TLS and HTTP/2. */
export type Scale = Sent & {
  readonly nodes: number;
  /** The holder and its two heirs, who hear and tell everybody. */
  readonly hubs: Sent;
  /** From the death of an ordinary node (its host falls silent) until half of the others, and until all, hold it dead, ms. */
  readonly detectMs: number;
  readonly detectAllMs: number;
  /** Scripts sent to all servers together. */
  readonly redisCommandsPerSecond: number;
  readonly redisCommandsPerServerPerSecond: number;
  readonly simulatedMs: number;
  readonly wallMs: number;
};

// Table exchange, first claim, and a rotation through everybody.
const SETTLE_MS = 20_000;
const MEASURE_MS = 20_000;
const DETECT_MS_MAX = 15_000;
// Encoding every heartbeat would take longer than simulating it.
const ENCODE_EVERY = 16;

type Count = { messages: number; bytes: number; encoded: number };

const nothingSent = (): Count => ({ messages: 0, bytes: 0, encoded: 0 });

/** Simulates a cluster of this size. Throws when it does not elect a holder, or does not notice the death. */
export async function simulateScale(options: ScaleOptions): Promise<Scale> {
  const begun = performance.now();
  const { nodes, preset = 'standard', servers = 3, measureMs = MEASURE_MS, seed = 1 } = options;
  const cast = await castOf('core', PRODUCTION_CORE);
  const run = { ...optionsOf(seed, { ...NO_FILTER, agents: nodes, preset, servers, mode: 'clean' }) };
  const counts = Array.from({ length: nodes }, nothingSent);
  let scripts = 0;
  const shell = countingShell(createShell(), counts);
  const world = createWorld(run, { spawn: cast.spawn, shell }, [], Number.POSITIVE_INFINITY, 0);
  attach(world, {
    name: 'scale',
    sent: () => {
      scripts += 1;
    },
    peerSent: (host, _to, msg) => count(itemOf(counts, host.index), () => messageOut(msg).length),
  });
  for (const host of world.hosts) world.queue.push(world.random.between(0, 50), () => startHost(world, host));
  playUntil(world, SETTLE_MS);
  const hubs = hubsOf(world);
  for (const one of counts) Object.assign(one, nothingSent());
  scripts = 0;
  playUntil(world, SETTLE_MS + measureMs);
  const seconds = measureMs / 1000;
  const ordinary = sentBy(
    world.hosts.filter((h) => !hubs.has(h.id)).map((h) => itemOf(counts, h.index)),
    seconds,
  );
  const special = sentBy(
    world.hosts.filter((h) => hubs.has(h.id)).map((h) => itemOf(counts, h.index)),
    seconds,
  );
  const redis = scripts / seconds;
  const detected = detect(world, hubs);
  return {
    nodes,
    ...(nodes > hubs.size ? ordinary : special),
    hubs: special,
    ...detected,
    redisCommandsPerSecond: round(redis),
    redisCommandsPerServerPerSecond: round(redis / servers),
    simulatedMs: Math.round(world.t),
    wallMs: Math.round(performance.now() - begun),
  };
}

function count(to: Count, bytesOf: () => number): void {
  if (to.messages % ENCODE_EVERY === 0) {
    to.bytes += bytesOf();
    to.encoded += 1;
  }
  to.messages += 1;
}

/** Counts the unary calls too: exchanges of tables (both directions) and probes. */
function countingShell(shell: Shell, counts: readonly Count[]): Shell {
  return {
    ...shell,
    effect(world, host, effect) {
      if (effect.k === 'pushPull') {
        count(itemOf(counts, host.index), () => {
          const self = { node: host.id, boot: host.boot };
          return MemberTable.encode(tableOut('sim', self, effect.members)).finish().length;
        });
      } else if (effect.k === 'indirectProbe') itemOf(counts, host.index).messages += 1;
      shell.effect(world, host, effect);
    },
  };
}

function sentBy(counts: readonly Count[], seconds: number): Sent {
  const messages = counts.reduce((sum, c) => sum + c.messages, 0) / Math.max(1, counts.length) / seconds;
  const bytes = counts.reduce((sum, c) => sum + c.bytes, 0);
  const encoded = counts.reduce((sum, c) => sum + c.encoded, 0);
  return { messagesPerNodePerSecond: round(messages), bytesPerNodePerSecond: Math.round((messages * bytes) / Math.max(1, encoded)) };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** The holder and the two next by name: in a calm cluster of equals the order of heirs is the order of names. */
function hubsOf(world: World): ReadonlySet<string> {
  const holder = holderOf(world);
  if (holder === null) throw new Error(`${world.hosts.length} agents elected nobody within ${SETTLE_MS} ms`);
  const others = world.hosts.map((h) => h.id).filter((id) => id !== holder.id);
  return new Set([holder.id, ...others.sort().slice(0, 2)]);
}

/** An ordinary node's host falls silent: no farewell, no closed connection. */
function detect(world: World, hubs: ReadonlySet<string>): Pick<Scale, 'detectMs' | 'detectAllMs'> {
  const victim = world.hosts.findLast((h) => !hubs.has(h.id)) ?? itemOf(world.hosts, world.hosts.length - 1);
  const diedAt = world.t;
  victim.agent = null;
  victim.turn = null;
  const others = world.hosts.filter((h) => h !== victim);
  const deadAt: number[] = [];
  const know = new Set<Host>();
  for (let ms = 10; ms <= DETECT_MS_MAX && know.size < others.length; ms += 10) {
    playUntil(world, diedAt + ms);
    for (const host of others) {
      if (know.has(host) || host.agent?.members?.().find((m) => m.node === victim.id)?.state !== 'dead') continue;
      know.add(host);
      deadAt.push(ms);
    }
  }
  const [half, all] = [deadAt[Math.floor(others.length / 2)], deadAt[others.length - 1]];
  if (half === undefined || all === undefined)
    throw new Error(`after ${DETECT_MS_MAX} ms only ${know.size} of ${others.length} agents hold the dead one dead`);
  return { detectMs: half, detectAllMs: all };
}

function playUntil(world: World, until: number): void {
  for (;;) {
    const event = world.queue.pop();
    if (event === undefined) return;
    if (event.at > until) {
      world.queue.push(event.at, event.run);
      world.t = until;
      return;
    }
    world.t = event.at;
    event.run();
    if (world.violation !== null) throw new Error(`${world.violation.invariant}: ${world.violation.text}`);
  }
}
