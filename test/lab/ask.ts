// Asks the agents of a lab over their control sockets, from this process: a started `agentctl` would take the CPU that a measurement needs.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { healthOf } from '../../src/cli/status-health.ts';
import { type CommandReply, ControlClient, type StatusReply } from '../../src/gen/control.ts';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import { monoMs } from './names.ts';
import { runOf } from './product.ts';

/** What a host's agent says of the cluster; null when it cannot be asked within 500 ms. */
function askStatus(host: Host): Promise<StatusReply | null> {
  return call<StatusReply>(host, 500, (client, options, done) => client.status({}, new Metadata(), options, done)).catch(() => null);
}

/** Asks a host's agent for a planned move to the best heir. An error when it does not say how that ended within 20 s. */
export function askSwitchover(host: Host): Promise<CommandReply> {
  const command = { to: '', by: 'lab', dryRun: false, atMs: 0n, cancel: false };
  return call<CommandReply>(host, 20_000, (client, options, done) => client.switchover(command, new Metadata(), options, done));
}

/** Asks these hosts until one of them says what is wanted; the error shows their last words. */
export async function untilStatus(
  hosts: readonly Host[],
  what: string,
  wanted: (status: StatusReply) => boolean,
  timeoutMs: number,
): Promise<StatusReply> {
  const deadline = monoMs() + timeoutMs;
  for (;;) {
    const replies = await Promise.all(hosts.map(askStatus));
    const found = replies.find((reply) => reply !== null && wanted(reply));
    if (found) return found;
    if (monoMs() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms; ${replies.map(words).join('; ')}`);
    await delay(50);
  }
}

/** Waits until all agents agree on the holder, each host has its role, every standby may take over, and the cluster counts as healthy. */
export async function untilAllWell(lab: Lab, timeoutMs: number): Promise<{ readonly holder: Host; readonly epoch: number }> {
  const deadline = monoMs() + timeoutMs;
  for (;;) {
    const replies = await Promise.all(lab.hosts.map(askStatus));
    const problem = problemOf(lab, replies);
    const first = replies[0];
    if (problem === '' && first) return { holder: lab.host(first.holder), epoch: Number(first.epoch) };
    if (monoMs() > deadline) throw new Error(`the cluster is not well after ${timeoutMs} ms: ${problem}`);
    await delay(50);
  }
}

function problemOf(lab: Lab, replies: readonly (StatusReply | null)[]): string {
  const first = replies[0];
  for (const [i, reply] of replies.entries()) {
    const name = lab.hosts[i]?.name ?? '';
    if (!reply || !first) return `${name} cannot be asked`;
    if (reply.holder !== first.holder || reply.epoch !== first.epoch)
      return `${name} says holder ${reply.holder || 'none'} (${reply.epoch}), ${first.asked} says ${first.holder || 'none'} (${first.epoch})`;
    const odd = reply.nodes.find((row) => !(row.role === 'active' || (row.role === 'standby' && row.vetoes.length === 0)));
    if (odd) return `${name} says ${odd.node} is ${odd.role} ${odd.vetoes[0] ?? ''}`;
    const down = reply.redis.find((row) => !row.up);
    if (down) return `${name} cannot reach Redis ${down.server}: ${down.lastError}`;
  }
  if (!first) return 'nobody answers';
  const health = healthOf(first);
  return health.exitCode === 0 ? '' : health.reasons.join(', ');
}

function words(reply: StatusReply | null): string {
  return reply === null ? 'no answer' : `${reply.asked}: holder ${reply.holder || 'none'}, epoch ${reply.epoch}, ${reply.reason}`;
}

type Done<T> = (error: ServiceError | null, reply: T) => void;

// A client each time: a channel to an agent that was restarted would wait before it connects again.
function call<T>(
  host: Host,
  timeoutMs: number,
  invoke: (client: ControlClient, options: { deadline: number }, done: Done<T>) => void,
): Promise<T> {
  const socket = join(runOf(host.plan), 'agent.sock');
  if (!existsSync(socket)) return Promise.reject(new Error(`${socket} is not there`));
  const client = new ControlClient(`unix:${socket}`, credentials.createInsecure());
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  invoke(client, { deadline: Date.now() + timeoutMs }, (error, reply) => (error === null ? resolve(reply) : reject(error)));
  return promise.finally(() => client.close());
}
