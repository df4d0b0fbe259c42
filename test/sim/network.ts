// Links: between a host and a Redis server, and between two hosts. Delay, slow messages, loss, reordering, cuts of which half of the traffic
// arrives after healing; commands that time out at the client and run nevertheless.
import type { Input, PeerMessage } from '../../src/core/io.ts';
import type { ScriptFailure } from '../../src/core/lease/types.ts';
import { deliver } from './driver.ts';
import { type Host, worldTimeOf } from './host.ts';
import { run, type Server } from './redis.ts';
import { type Call, itemOf, note, type World } from './world.ts';

const LOST = -1;

/** Delay of one message over a link that is cut until `cutUntil`; LOST = never arrives. */
function delayOf(world: World, host: Host, cutUntil: number, min: number, max: number): number {
  const { random } = host;
  const { weather } = world;
  const rough = !world.calm;
  let delay = rough && random.chance(weather.slow) ? random.between(20, 1500) : random.between(min, max);
  if (cutUntil > world.t) {
    if (random.chance(0.5)) return LOST;
    delay += cutUntil - world.t;
  }
  return rough && random.chance(weather.loss) ? LOST : delay;
}

function failCall(world: World, call: Call, at: number, why: ScriptFailure): void {
  const host = itemOf(world.hosts, call.host);
  world.queue.push(at, () =>
    deliver(world, host, call.inc, { input: { k: 'fail', server: call.server, op: call.op, why }, call, timer: why === 'timeout' }),
  );
}

/** No answer in time is to be expected: the client gives up by its own clock. */
function timeOut(world: World, call: Call): void {
  const { commandTimeoutMs } = world.weather;
  if (commandTimeoutMs === Number.POSITIVE_INFINITY) return;
  const host = itemOf(world.hosts, call.host);
  failCall(world, call, Math.max(world.t, worldTimeOf(host, call.sentAt + commandTimeoutMs)), 'timeout');
}

/** A command leaves its client. */
export function sendCall(world: World, host: Host, call: Call): void {
  const server = itemOf(world.servers, call.server);
  const { conn } = server;
  const link = host.index * world.servers.length + server.index;
  const delay = delayOf(world, host, world.cutRequest[link] ?? 0, 0.2, 4);
  if (delay === LOST || delay > 50) timeOut(world, call);
  if (delay !== LOST) world.queue.push(world.t + delay, () => arrive(world, host, server, conn, call));
}

function arrive(world: World, host: Host, server: Server, conn: number, call: Call): void {
  const link = host.index * world.servers.length + server.index;
  if (!server.up || server.conn !== conn) {
    // Refused, or the connection it came by is gone. The client hears so only over a whole link.
    if ((world.cutAnswer[link] ?? 0) > world.t) timeOut(world, call);
    else failCall(world, call, world.t + host.random.between(0.2, 2), 'closed');
    return;
  }
  if (server.stallUntil > world.t) {
    timeOut(world, call);
    world.queue.push(server.stallUntil + host.random.next(), () => arrive(world, host, server, conn, call));
    return;
  }
  const before = server.model.snap;
  const answer = run(server, call.call, world.t, world.options.redis);
  if (server.model.snap !== before) for (const watch of world.hooks.written) watch(server, call.call, before);
  const delay = delayOf(world, host, world.cutAnswer[link] ?? 0, 0.2, 4);
  if (delay === LOST || delay > 50) timeOut(world, call);
  if (delay === LOST) return;
  const { server: index, op } = call;
  const input: Input =
    'failure' in answer
      ? { k: 'fail', server: index, op, why: answer.failure }
      : { k: 'reply', server: index, op, code: answer.code, snap: answer.snap };
  world.queue.push(world.t + delay, () => {
    if (server.conn === conn) deliver(world, host, call.inc, { input, call, timer: false });
    else failCall(world, call, world.t, 'closed');
  });
}

/** A message from one agent to another over their authenticated stream. It is lost when the receiver restarts meanwhile. */
export function sendPeer(world: World, from: Host, to: Host, msg: PeerMessage): void {
  if (to.agent === null || (world.shell !== null && !world.shell.linked(from, to))) return;
  const { inc } = to;
  const delay = delayOf(world, from, world.cutPeer[from.index * world.hosts.length + to.index] ?? 0, 0.3, 5);
  if (delay === LOST) {
    if (world.options.trace) note(world, from.id, `message ${msg.k} to ${to.id} is lost`);
    return;
  }
  world.queue.push(world.t + delay, () => deliver(world, to, inc, { input: { k: 'peer', from: from.id, msg }, call: null, timer: false }));
}
