// An agent's shell in the world: hands facts to the process, carries its orders out, keeps its timer, and puts the address up and down.
import type { Effect, Input } from '../../src/core/io.ts';
import { clocksAt, type Host, monoAt, worldTimeOf } from './host.ts';
import { sendCall, sendPeer } from './network.ts';
import type { SimTurn } from './types.ts';
import { type Call, type Delivery, fail, itemOf, note, type World } from './world.ts';

/** Later than this the loop has stalled. */
const STALL_MS = 100;
const SPIN_MAX = 200;

/** Gives a fact to a process; a paused one gets it later, a dead one never. */
export function deliver(world: World, host: Host, inc: number, delivery: Delivery): void {
  if (host.agent === null || host.inc !== inc) return;
  if (host.pausedUntil > world.t || host.frozenSince >= 0) {
    host.inbox.push(delivery);
    return;
  }
  handle(world, host, delivery);
}

function handle(world: World, host: Host, delivery: Delivery): void {
  const { call } = delivery;
  if (call !== null) {
    if (call.settled) return;
    call.settled = true;
  }
  step(world, host, delivery.input, call);
}

/** One turn of an agent, with all its consequences. */
export function step(world: World, host: Host, input: Input, call: Call | null): void {
  const { agent } = host;
  if (agent === null || world.violation !== null) return;
  const now = clocksAt(host, world.t);
  const { hooks, options } = world;
  for (const watch of hooks.input) watch(host, input, call, now.mono);
  // The proven enforcer changes in the world the moment the process learns of it (8.2 of the facts: otherwise no algorithm could be safe).
  if (input.k === 'fence') changeFence(host, input.kind === 'nft', now.mono);
  host.hints.stalled = host.stalled;
  if (options.trace) note(world, host.id, `<- ${inputText(input)}${host.stalled ? ' (stalled)' : ''}`);
  let turn: SimTurn;
  try {
    turn = agent.turn(input, now);
  } catch (error) {
    fail(
      world,
      'total',
      `${host.id} threw at ${inputText(input)}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    return;
  }
  world.turns += 1;
  if (options.trace)
    note(world, host.id, `   ${turn.reason}${turn.acting ? ` [acting, valid ${(turn.lease.validUntil - now.mono).toFixed(0)} more]` : ''}`);
  raiseEffects(host, turn);
  for (const watch of hooks.turn) watch(host, turn, now.mono);
  if (world.violation !== null) return;
  const wasActing = host.turn?.acting === true;
  host.turn = turn;
  if (turn.effects.length > 0) perform(world, host, turn.effects, now.mono);
  if (turn.acting !== wasActing) switchAddress(world, host, turn);
  // Leftovers of the address, of an earlier process too, go at once when the fence that would have ended them goes.
  else if (input.k === 'fence' && !host.fence && !turn.acting && host.effectsValid !== Number.NEGATIVE_INFINITY) dropAddress(world, host);
  arm(world, host, turn.wakeAt);
}

function changeFence(host: Host, fence: boolean, mono: number): void {
  // What the fence has ended before it was lost stays ended.
  if (host.fence && mono >= host.effectsValid) host.effectsValid = Number.NEGATIVE_INFINITY;
  host.fence = fence;
}

function raiseEffects(host: Host, turn: SimTurn): void {
  if (!turn.acting) return;
  host.effectsValid = Math.max(host.effectsValid, turn.lease.validUntil);
  host.effectsEpoch = turn.lease.epoch;
}

function perform(world: World, host: Host, effects: readonly Effect[], mono: number): void {
  const { hooks } = world;
  for (const effect of effects) {
    switch (effect.k) {
      case 'redis': {
        const { server, op, call: script } = effect;
        const call: Call = { host: host.index, inc: host.inc, server, op, call: script, sentAt: mono, settled: false };
        if (world.options.trace) note(world, host.id, `-> s${server} ${JSON.stringify(script)}`);
        for (const watch of hooks.sent) watch(host, call, mono);
        sendCall(world, host, call);
        break;
      }
      case 'send': {
        if (world.options.trace) note(world, host.id, `-> ${effect.to} ${JSON.stringify(effect.msg)}`);
        for (const watch of hooks.peerSent) watch(host, effect.to, effect.msg, mono);
        const to = world.names.indexOf(effect.to);
        if (to >= 0) sendPeer(world, host, itemOf(world.hosts, to), effect.msg);
        break;
      }
      case 'persistEpoch':
        host.epochOnDisk = Math.max(host.epochOnDisk, effect.epoch);
        break;
      case 'persistSettings':
        host.disk = { ...host.disk, settings: effect.settings };
        break;
      case 'persistRoster':
        host.disk = { ...host.disk, roster: effect.roster };
        break;
      case 'log':
        if (world.options.trace) note(world, host.id, `   event ${effect.event} ${effect.text}`);
        // A node that gives up while its address is already off gets the confirmation all the same.
        if (effect.event === 'yielding' && host.vip === 'off' && world.shell === null) dropAddress(world, host);
        break;
      case 'commandResult':
        if (host.awaited?.id === effect.id) {
          const { settle } = host.awaited;
          host.awaited = null;
          const { inc } = host;
          // The process goes on to handle what it has at hand before whoever waits can act.
          world.queue.push(world.t, () => {
            if (host.inc === inc && host.agent !== null) settle(effect.result.outcome);
          });
        }
        world.shell?.effect(world, host, effect);
        break;
      default:
        world.shell?.effect(world, host, effect);
    }
  }
}

function switchAddress(world: World, host: Host, turn: SimTurn): void {
  if (turn.acting) {
    host.vip = 'on';
    host.vipVersion += 1;
    world.shell?.granted(world, host, turn.lease.epoch);
    return;
  }
  dropAddress(world, host);
}

/**
 * Takes the address down. Usually confirmed within milliseconds, sometimes late; then the fence and validity end the effects. Without a fence it must
 * work: a lost fence together with an address that cannot be taken down is beyond what any algorithm can bear (8.2 of the facts).
 */
export function dropAddress(world: World, host: Host): void {
  host.vip = 'dropping';
  host.vipVersion += 1;
  const version = host.vipVersion;
  const { inc } = host;
  const sure = !host.fence || world.mode === 'clean' || world.mode === 'healthy' || host.random.chance(0.9);
  const delay = sure ? host.random.between(1, 5) : host.random.between(20, 3000);
  const epoch = Math.max(host.turn?.lease.epoch ?? 0, host.effectsEpoch);
  const done = () => {
    if (host.vipVersion !== version) return;
    // The driver is part of the process: while that is stopped nothing is taken down. Only an order given for want of a fence is past it already.
    if (host.fence && (host.pausedUntil > world.t || host.frozenSince >= 0)) {
      world.queue.push(Math.max(host.pausedUntil, world.t + 50) + 0.5, done);
      return;
    }
    host.vip = 'off';
    host.effectsValid = Number.NEGATIVE_INFINITY;
    deliver(world, host, inc, { input: { k: 'ended', epoch, phasesMs: {} }, call: null, timer: false });
  };
  world.queue.push(world.t + delay, done);
}

/** Sets the process's one timer. */
function arm(world: World, host: Host, wakeAt: number): void {
  if (wakeAt === Number.POSITIVE_INFINITY) return;
  if (Number.isNaN(wakeAt)) {
    fail(world, 'total', `${host.id} wants to wake at ${wakeAt}`);
    return;
  }
  const { random } = host;
  const late = random.chance(0.02) ? random.between(0, 10) : random.between(0, world.weather.timerLateMs);
  const at = Math.max(world.t, worldTimeOf(host, wakeAt)) + late;
  if (host.timerAt <= at) return;
  host.timerAt = at;
  host.timerVersion += 1;
  const version = host.timerVersion;
  world.queue.push(at, () => {
    if (host.timerVersion === version) fire(world, host);
  });
}

function fire(world: World, host: Host): void {
  host.timerAt = Number.POSITIVE_INFINITY;
  if (host.agent === null || host.turn === null) return;
  if (host.pausedUntil > world.t || host.frozenSince >= 0) {
    return;
  }
  const { wakeAt } = host.turn;
  if (monoAt(host, world.t) < wakeAt) {
    arm(world, host, wakeAt);
    return;
  }
  noticeSpin(world, host);
  step(world, host, { k: 'tick' }, null);
}

function noticeSpin(world: World, host: Host): void {
  const { spin } = world;
  if (world.t - spin.at >= 1) {
    spin.at = world.t;
    spin.count = 0;
  }
  spin.count += 1;
  if (spin.count > SPIN_MAX) fail(world, 'total', `${host.id} wakes again and again without any progress`);
}

/** A stopped process runs again: it finds its timers late and its sockets full. */
export function resume(world: World, host: Host): void {
  if (host.agent === null || host.pausedUntil > world.t || host.frozenSince >= 0) return;
  const late = host.turn === null ? -1 : monoAt(host, world.t) - host.turn.wakeAt;
  const waiting = host.inbox;
  host.inbox = [];
  const { inc } = host;
  // Timers run before waiting sockets are read, so answers that are there already may count as timed out.
  const timersFirst = host.random.chance(0.7);
  const ordered = timersFirst ? [...waiting.filter((d) => d.timer), ...waiting.filter((d) => !d.timer)] : waiting;
  if (late > STALL_MS) beginStall(world, host, late);
  if (late >= 0) step(world, host, late > STALL_MS && world.shell !== null ? { k: 'stalling' } : { k: 'tick' }, null);
  // A machine that stood still finds its timers not due yet: other facts may come first.
  else if (host.turn !== null) arm(world, host, host.turn.wakeAt);
  for (const delivery of ordered) if (host.inc === inc && host.agent !== null) handle(world, host, delivery);
}

/** The loop notices that it stood still, and judges nothing before a later turn of the event loop. */
function beginStall(world: World, host: Host, lateMs: number): void {
  const { inc } = host;
  host.stalled = true;
  const judge = () => {
    if (host.inc !== inc) return;
    host.stalled = false;
    const input: Input = world.shell === null ? { k: 'tick' } : { k: 'stall', lateMs };
    deliver(world, host, inc, { input, call: null, timer: true });
  };
  world.queue.push(world.t + host.random.between(0.3, 2), judge);
}

/** A fact in a few words. */
function inputText(input: Input): string {
  return JSON.stringify(input);
}
