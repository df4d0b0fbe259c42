// The world's state, and the words its parts exchange. Its parts: driver.ts (an agent's shell), network.ts, redis.ts, gossip.ts, nemesis.ts.
import type { Effect, Input, PeerMessage } from '../../src/core/io.ts';
import type { LeaseConfig, ScriptCall, Snap } from '../../src/core/lease/types.ts';
import type { NodeId } from '../../src/core/types.ts';
import type { Fault } from './faults.ts';
import { createHost, type Host } from './host.ts';
import { commandTimeoutOf, leaseConfigOf, type Mode } from './presets.ts';
import { createQueue, type EventQueue } from './queue.ts';
import { createRandom, mixSeed, type Random } from './random.ts';
import { createServer, type Server } from './redis.ts';
import type { AgentFactory, RunOptions, SimTurn, Violation } from './types.ts';

/** A Redis command under way, as the client that sent it keeps it. */
export type Call = {
  readonly host: number;
  readonly inc: number;
  readonly server: number;
  readonly op: number;
  readonly call: ScriptCall;
  /** Local ms. */
  readonly sentAt: number;
  /** The client got, or made up, an answer; a later one is dropped. */
  settled: boolean;
};

/** Something for a process, possibly the answer to a command of its own. */
export type Delivery = { readonly input: Input; readonly call: Call | null; readonly timer: boolean };

/** What checkers may listen to. Every field is optional; `host.turn` is still the previous turn when `turn` is called with the new one. */
export type Watch = {
  readonly name: string;
  readonly started?: (host: Host) => void;
  readonly died?: (host: Host) => void;
  /** A fact is about to be handed to the process. */
  readonly input?: (host: Host, input: Input, call: Call | null, mono: number) => void;
  /** After a turn; the effects of the address are up to date, no order has been carried out yet. */
  readonly turn?: (host: Host, turn: SimTurn, mono: number) => void;
  readonly sent?: (host: Host, call: Call, mono: number) => void;
  readonly peerSent?: (host: Host, to: NodeId, msg: PeerMessage, mono: number) => void;
  /** A script has changed the record of a server. */
  readonly written?: (server: Server, call: ScriptCall, before: Snap) => void;
  /** Called every few simulated seconds, and at the end. */
  readonly sample?: (host: Host) => void;
  /** Moments (world ms) at which `moment` is to be called. */
  readonly moments?: readonly number[];
  readonly moment?: (at: number) => void;
};

/** The listeners by what they listen to: most events interest two or three of a dozen. */
export type Hooks = {
  readonly [K in 'started' | 'died' | 'input' | 'turn' | 'sent' | 'peerSent' | 'written' | 'sample']: NonNullable<Watch[K]>[];
};

/** What whole-core agents need beside the lease's world; null for lease-only agents. */
export type Shell = {
  /** A stream exists between two processes. */
  readonly linked: (a: Host, b: Host) => boolean;
  readonly started: (world: World, host: Host) => void;
  readonly died: (world: World, host: Host) => void;
  /** The address is up under this epoch. */
  readonly granted: (world: World, host: Host, epoch: number) => void;
  readonly effect: (world: World, host: Host, effect: Effect) => void;
};

/** How rough this seed's network is, and what its clients believe. */
export type Weather = {
  readonly slow: number;
  readonly loss: number;
  readonly commandTimeoutMs: number;
  readonly ranks: 'true' | 'zero' | 'random';
  readonly timerLateMs: number;
};

export type World = {
  readonly options: RunOptions;
  readonly lease: LeaseConfig;
  readonly mode: Mode;
  readonly weather: Weather;
  readonly queue: EventQueue;
  readonly random: Random;
  readonly hosts: readonly Host[];
  readonly servers: readonly Server[];
  /** Every host by index; the first `roster` are the first claim's, the rest join later. */
  readonly names: readonly NodeId[];
  readonly roster: readonly NodeId[];
  readonly spawn: AgentFactory;
  readonly shell: Shell | null;
  readonly hooks: Hooks;
  /** World time until which a link is cut; requests and answers by [host * servers + server], peers by [from * agents + to]. */
  readonly cutRequest: Float64Array;
  readonly cutAnswer: Float64Array;
  readonly cutPeer: Float64Array;
  readonly transcript: string[];
  readonly faults: readonly Fault[];
  readonly stormMs: number;
  readonly endMs: number;
  t: number;
  calm: boolean;
  violation: Violation | null;
  turns: number;
  /** Orders given by operators so far; the last one's id. */
  orders: number;
  /** Timers that fired within one ms: a core that asks to wake in the past would never let time pass. */
  readonly spin: { at: number; count: number };
};

/** Item of an array that must be there; a missing one is a bug of the simulator. */
export function itemOf<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`the simulator has no item ${index} in a list of ${list.length}`);
  return item;
}

/** Notes the first broken invariant; the run ends with it. */
export function fail(world: World, invariant: string, text: string): void {
  if (world.violation !== null) return;
  world.violation = { invariant, at: world.t, text };
  if (world.options.trace) note(world, '!!', `${invariant} violated: ${text}`);
}

/** From now on the watch hears what it listens to. */
export function attach(world: World, watch: Watch): void {
  const { hooks } = world;
  if (watch.started !== undefined) hooks.started.push(watch.started);
  if (watch.died !== undefined) hooks.died.push(watch.died);
  if (watch.input !== undefined) hooks.input.push(watch.input);
  if (watch.turn !== undefined) hooks.turn.push(watch.turn);
  if (watch.sent !== undefined) hooks.sent.push(watch.sent);
  if (watch.peerSent !== undefined) hooks.peerSent.push(watch.peerSent);
  if (watch.written !== undefined) hooks.written.push(watch.written);
  if (watch.sample !== undefined) hooks.sample.push(watch.sample);
  for (const at of watch.moments ?? []) world.queue.push(at, () => watch.moment?.(at));
}

/** A line of the transcript. Call it only while tracing. */
export function note(world: World, who: string, text: string): void {
  world.transcript.push(`${world.t.toFixed(2).padStart(9)} ${who.padEnd(3)} ${text}`);
}

function weatherOf(options: RunOptions, random: Random): Weather {
  const preset = commandTimeoutOf(options.preset);
  if (options.mode === 'clean' || options.mode === 'healthy') {
    return { slow: 0, loss: 0, commandTimeoutMs: preset, ranks: 'true', timerLateMs: 2 };
  }
  const timeout = random.next();
  const ranks = random.next();
  return {
    slow: 0.03,
    loss: 0.01,
    // A client that waits for ever is legal for the algorithm and hears more late answers: the core must be safe with either.
    commandTimeoutMs: timeout < 0.6 ? preset : timeout < 0.8 ? 1000 : Number.POSITIVE_INFINITY,
    ranks: ranks < 0.6 ? 'true' : ranks < 0.8 ? 'zero' : 'random',
    timerLateMs: 3,
  };
}

/** A world in which nothing has started yet. */
export function createWorld(
  options: RunOptions,
  cast: { readonly spawn: AgentFactory; readonly shell: Shell | null },
  faults: readonly Fault[],
  stormMs: number,
  calmMs: number,
): World {
  const salt = mixSeed(options.seed, options.servers, options.agents);
  const random = createRandom(mixSeed(salt, 1));
  const { servers } = options;
  const agents = options.agents + options.joiners;
  // One of the first nodes of every second run may act only by force.
  const nofailover = cast.shell !== null && options.seed % 2 === 0 && options.agents > 3 ? 2 : -1;
  return {
    options,
    lease: leaseConfigOf(options.preset, servers, options.mode),
    mode: options.mode,
    weather: weatherOf(options, random),
    queue: createQueue(),
    random,
    hosts: Array.from({ length: agents }, (_, i) =>
      createHost(i, agents, createRandom(mixSeed(salt, 2, i)), options.rateError, i === nofailover),
    ),
    servers: Array.from({ length: servers }, (_, i) => createServer(i)),
    names: Array.from({ length: agents }, (_, i) => `n${i}`),
    roster: Array.from({ length: options.agents }, (_, i) => `n${i}`),
    spawn: cast.spawn,
    shell: cast.shell,
    hooks: { started: [], died: [], input: [], turn: [], sent: [], peerSent: [], written: [], sample: [] },
    cutRequest: new Float64Array(agents * servers),
    cutAnswer: new Float64Array(agents * servers),
    cutPeer: new Float64Array(agents * agents),
    transcript: [],
    faults,
    stormMs,
    endMs: stormMs + calmMs,
    t: 0,
    calm: false,
    violation: null,
    turns: 0,
    orders: 0,
    spin: { at: 0, count: 0 },
  };
}
