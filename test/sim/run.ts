// One run: a seed, a preset, a number of servers and a mode determine it completely, together with the code.
import { watchL1 } from './checkers/L1.ts';
import { type Epochs, watchL2 } from './checkers/L2.ts';
import { type Extensions, watchL3 } from './checkers/L3.ts';
import { watchL4 } from './checkers/L4.ts';
import { watchL5 } from './checkers/L5.ts';
import { watchL6 } from './checkers/L6.ts';
import { livenessBoundMs, watchL7 } from './checkers/L7.ts';
import { watchL8 } from './checkers/L8.ts';
import { watchL10 } from './checkers/L10.ts';
import { watchL11 } from './checkers/L11.ts';
import { watchOrders } from './checkers/orders.ts';
import { watchRoster } from './checkers/roster.ts';
import { watchSchedule } from './checkers/schedule.ts';
import { watchSettings } from './checkers/settings.ts';
import { createShell } from './core-shell.ts';
import { faultText, scheduleOf } from './faults.ts';
import { pushLeader, startGossip } from './gossip.ts';
import { scheduleFaults, startHost } from './nemesis.ts';
import { leaseConfigOf } from './presets.ts';
import { mixSeed } from './random.ts';
import { watchTimes } from './times.ts';
import type { Cast, RunOptions, RunResult } from './types.ts';
import { attach, createWorld, itemOf, note, type World } from './world.ts';

// Length of the part with faults.
const STORM_MS = 48_000;
const SETTLED_MS = 3000;
const SAMPLE_MS = 7000;

/** Runs one seed to its end, or to its first violation. */
export function runSeed(options: RunOptions, cast: Cast): RunResult {
  const { seed, mode, agents, servers, preset } = options;
  const joiners = cast.whole && mode !== 'clean' && seed % 3 !== 0 ? 1 : 0;
  const plan = { seed: mixSeed(seed, 77), mode, agents: agents + joiners, servers, stormMs: STORM_MS, whole: cast.whole, joiners };
  const faults = scheduleOf(plan);
  const calmMs = livenessBoundMs({ lease: leaseConfigOf(preset, servers, mode) }) + SETTLED_MS;
  const world = createWorld(
    { ...options, joiners },
    { spawn: cast.spawn, shell: cast.whole ? createShell() : null },
    faults,
    STORM_MS,
    calmMs,
  );
  const epochs: Epochs = { elections: 0, regressions: 0 };
  const extensions: Extensions = { byFailsafe: 0 };
  const times = watchTimes(world);
  const elected = (index: number) => {
    const host = itemOf(world.hosts, index);
    times.elected();
    pushLeader(world, host);
    if (options.trace) note(world, host.id, `** is the new holder`);
  };
  const checkers = [watchL1(world), watchL2(world, epochs, elected), watchL3(world, extensions), watchL4(world), watchL5(world)];
  checkers.push(watchL6(world), watchL7(world), watchL11(world));
  if (cast.whole) checkers.push(watchL10(world), watchOrders(world), watchSettings(world), watchSchedule(world), watchRoster(world));
  if (mode === 'healthy') checkers.push(watchL8(world));
  for (const watch of [times.watch, ...checkers.filter((c) => options.checkers === null || options.checkers.includes(c.name))])
    attach(world, watch);
  start(world);
  play(world);
  return {
    violation: world.violation,
    activeShare: times.activeMs() / world.t,
    failoverMs: times.failoverMs,
    handoverMs: times.handoverMs,
    elections: epochs.elections,
    failsafeExtensions: extensions.byFailsafe,
    epochRegressions: epochs.regressions,
    faults: faults.map(faultText).filter((_, i) => !options.without.has(i)),
    transcript: world.transcript,
    turns: world.turns,
  };
}

function start(world: World): void {
  for (const id of world.roster) {
    const host = itemOf(world.hosts, world.names.indexOf(id));
    world.queue.push(world.random.between(0, 50), () => startHost(world, host));
  }
  scheduleFaults(world);
  if (world.shell === null) startGossip(world);
  const sample = () => {
    for (const host of world.hosts) for (const watch of world.hooks.sample) watch(host);
    world.queue.push(world.t + SAMPLE_MS, sample);
  };
  world.queue.push(SAMPLE_MS, sample);
}

function play(world: World): void {
  for (;;) {
    const event = world.queue.pop();
    if (event === undefined || event.at > world.endMs || world.violation !== null) return;
    world.t = event.at;
    event.run();
  }
}
