// The nemesis: the whole fault schedule of a run, drawn from the seed before the run starts, so that single faults can be left out.
import { type Order, orderFaults } from './orders.ts';
import type { Mode } from './presets.ts';
import { createRandom, type Random } from './random.ts';

/** A node by index, or whoever is active then (falling back to `or`). */
export type Target = { readonly holder: boolean; readonly or: number };

/** Directions of a cut, seen from the first party. */
export type Cut = 'both' | 'out' | 'in';

/** One fault. `at` is world time in ms, durations end with the storm. */
export type Fault = { readonly at: number } & (
  | { readonly k: 'kill'; readonly node: Target; readonly forMs: number; readonly hook: boolean }
  | { readonly k: 'pause'; readonly node: Target; readonly forMs: number }
  | { readonly k: 'freeze'; readonly node: Target; readonly forMs: number }
  | { readonly k: 'wallStep'; readonly node: Target; readonly byMs: number }
  | { readonly k: 'fence'; readonly node: Target }
  | { readonly k: 'lie'; readonly node: Target; readonly forMs: number; readonly rank: number }
  /** The local Ollama dies and comes back; matters to whole-core agents only. */
  | { readonly k: 'ollama'; readonly node: Target; readonly forMs: number }
  | { readonly k: 'handover'; readonly to: number }
  | { readonly k: 'serverStall'; readonly server: number; readonly forMs: number }
  | {
      readonly k: 'serverRestart';
      readonly server: number;
      readonly forMs: number;
      readonly data: 'kept' | 'back' | 'empty';
      readonly backMs: number;
      readonly loadingMs: number;
    }
  | { readonly k: 'flush'; readonly server: number }
  | { readonly k: 'refuse'; readonly server: number; readonly why: 'oom' | 'readonly' | 'loading'; readonly forMs: number }
  /** `server` -1: all of them. */
  | { readonly k: 'cutServer'; readonly node: Target; readonly server: number; readonly dir: Cut; readonly forMs: number }
  /** `peer` -1: all of them. */
  | { readonly k: 'cutPeer'; readonly node: Target; readonly peer: number; readonly dir: Cut; readonly forMs: number }
  /** Each node hears only its predecessor: one-way links around a ring. */
  | { readonly k: 'ring'; readonly forMs: number }
  /** An operator asks a node. */
  | { readonly k: 'order'; readonly node: Target; readonly order: Order }
  /** The agent is replaced by its next process after `forMs`; a holder hands its lease on. Whole cores only. */
  | { readonly k: 'reload'; readonly node: Target; readonly forMs: number }
  /** A node leaves the cluster; its agent is started again after `forMs`. */
  | { readonly k: 'leave'; readonly node: Target; readonly forMs: number }
  /** A host that was never there before starts, and knows one peer. */
  | { readonly k: 'join'; readonly host: number }
);

/** What a schedule is drawn for. */
export type Plan = {
  readonly seed: number;
  readonly mode: Mode;
  readonly agents: number;
  readonly servers: number;
  readonly stormMs: number;
  /** Whole cores: there are operators too, and nodes that come and go. */
  readonly whole: boolean;
  readonly joiners: number;
};

type Draw = (at: number, left: number) => Fault;

const DIRS: readonly Cut[] = ['both', 'both', 'out', 'in'];

function drawers(plan: Plan, random: Random): readonly { readonly meanMs: number; readonly draw: Draw }[] {
  const node = (): Target => ({ holder: random.chance(0.3), or: random.below(plan.agents) });
  const server = () => random.below(plan.servers);
  const dir = (): Cut => DIRS[random.below(DIRS.length)] ?? 'both';
  const span = (min: number, max: number, left: number) => Math.max(1, Math.min(random.between(min, max), left));
  const kill: Draw = (at, left) => ({ at, k: 'kill', node: node(), forMs: span(50, 6000, left), hook: random.chance(0.3) });
  const handover: Draw = (at) => ({
    at,
    k: 'handover',
    to: random.chance(plan.mode === 'clean' ? 0 : 0.2) ? -1 : random.below(plan.agents),
  });
  const lie: Draw = (at, left) => ({ at, k: 'lie', node: node(), forMs: span(200, 5000, left), rank: random.below(plan.agents) });
  if (plan.mode === 'clean') {
    return [
      { meanMs: 9000, draw: (at, left) => ({ at, k: 'kill', node: { holder: true, or: 0 }, forMs: span(50, 6000, left), hook: false }) },
      { meanMs: 5000, draw: handover },
    ];
  }
  if (plan.mode === 'healthy') return healthy(plan, random, lie);
  const storm: { meanMs: number; draw: Draw }[] = [
    { meanMs: 9000, draw: kill },
    { meanMs: 5000, draw: (at, left) => ({ at, k: 'pause', node: node(), forMs: span(50, 2500, left) }) },
    { meanMs: 12_000, draw: (at, left) => ({ at, k: 'pause', node: node(), forMs: span(60, 400, left) }) },
    { meanMs: 30_000, draw: (at, left) => ({ at, k: 'freeze', node: node(), forMs: span(300, 4000, left) }) },
    { meanMs: 20_000, draw: (at) => ({ at, k: 'wallStep', node: node(), byMs: random.between(-3000, 3000) }) },
    { meanMs: 5000, draw: handover },
    { meanMs: 8000, draw: lie },
    { meanMs: 15_000, draw: (at, left) => ({ at, k: 'ollama', node: node(), forMs: span(500, 6000, left) }) },
    { meanMs: 4000, draw: (at, left) => ({ at, k: 'serverStall', server: server(), forMs: span(50, 1800, left) }) },
    {
      meanMs: 7000,
      draw: (at, left) => ({
        at,
        k: 'serverRestart',
        server: server(),
        forMs: span(5, 2500, left),
        data: random.chance(0.4) ? 'kept' : random.chance(0.5) ? 'back' : 'empty',
        backMs: random.between(0, 1500),
        loadingMs: random.chance(0.3) ? random.between(5, 400) : 0,
      }),
    },
    { meanMs: 11_000, draw: (at) => ({ at, k: 'flush', server: server() }) },
    {
      meanMs: 10_000,
      draw: (at, left) => ({
        at,
        k: 'refuse',
        server: server(),
        why: (['oom', 'readonly', 'loading'] as const)[random.below(3)] ?? 'oom',
        forMs: span(50, 1500, left),
      }),
    },
    {
      meanMs: 3000,
      draw: (at, left) => ({ at, k: 'cutServer', node: node(), server: server(), dir: dir(), forMs: span(100, 3000, left) }),
    },
    { meanMs: 6000, draw: (at, left) => ({ at, k: 'cutServer', node: node(), server: -1, dir: dir(), forMs: span(100, 4000, left) }) },
    {
      meanMs: 7000,
      draw: (at, left) => ({
        at,
        k: 'cutPeer',
        node: node(),
        peer: random.below(plan.agents + 1) - 1,
        dir: dir(),
        forMs: span(100, 4000, left),
      }),
    },
    { meanMs: 25_000, draw: (at, left) => ({ at, k: 'ring', forMs: span(300, 4000, left) }) },
  ];
  if (plan.whole) storm.push(...orderFaults(random, plan.agents, node));
  if (plan.mode === 'lockdelay') storm.push({ meanMs: 4000, draw: (at) => ({ at, k: 'fence', node: node() }) });
  return storm;
}

/** Only what must not move a holder: node 0 comes first and is spared, and so is a majority of the servers. */
function healthy(plan: Plan, random: Random, lie: Draw): readonly { readonly meanMs: number; readonly draw: Draw }[] {
  const other = (): Target => ({ holder: false, or: 1 + random.below(plan.agents - 1) });
  const span = (min: number, max: number, left: number) => Math.max(1, Math.min(random.between(min, max), left));
  const rules: { meanMs: number; draw: Draw }[] = [
    { meanMs: 1500, draw: lie },
    { meanMs: 5000, draw: (at, left) => ({ at, k: 'kill', node: other(), forMs: span(50, 6000, left), hook: false }) },
    { meanMs: 3000, draw: (at, left) => ({ at, k: 'pause', node: other(), forMs: span(50, 2500, left) }) },
    { meanMs: 3000, draw: (at, left) => ({ at, k: 'cutPeer', node: other(), peer: -1, dir: 'both', forMs: span(100, 4000, left) }) },
    { meanMs: 3000, draw: (at, left) => ({ at, k: 'cutServer', node: other(), server: -1, dir: 'both', forMs: span(100, 4000, left) }) },
    { meanMs: 3000, draw: (at, left) => ({ at, k: 'ring', forMs: span(300, 4000, left) }) },
  ];
  if (plan.servers > 1) {
    const minor = plan.servers - 1;
    rules.push(
      { meanMs: 3000, draw: (at, left) => ({ at, k: 'serverStall', server: minor, forMs: span(50, 3000, left) }) },
      { meanMs: 6000, draw: (at) => ({ at, k: 'flush', server: minor }) },
      {
        meanMs: 5000,
        draw: (at, left) => ({
          at,
          k: 'serverRestart',
          server: minor,
          forMs: span(5, 2500, left),
          data: 'empty',
          backMs: 0,
          loadingMs: 50,
        }),
      },
    );
  }
  return rules;
}

/** The schedule of a seed, in order of time. */
export function scheduleOf(plan: Plan): readonly Fault[] {
  const random = createRandom(plan.seed);
  const faults: Fault[] = [];
  for (const rule of drawers(plan, random)) {
    for (let at = random.between(0.3, 1.7) * rule.meanMs; at < plan.stormMs; at += random.between(0.3, 1.7) * rule.meanMs) {
      faults.push(rule.draw(at, plan.stormMs - at));
    }
  }
  for (let i = 0; i < plan.joiners; i++)
    faults.push({ at: random.between(0.1, 0.6) * plan.stormMs, k: 'join', host: plan.agents - plan.joiners + i });
  return faults.sort((a, b) => a.at - b.at);
}

/** A fault in one line. */
export function faultText(fault: Fault, index: number): string {
  const { at, k, ...rest } = fault;
  const fields = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === 'number' ? Math.round(value) : JSON.stringify(value)}`,
  );
  return `#${index} ${at.toFixed(0)} ${k} ${fields.join(' ')}`;
}
