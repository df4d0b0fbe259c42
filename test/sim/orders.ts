// Operators: what they order, of whom, and when. Whole-core agents only; at the end of the storm they take back what they left behind.
import type { Command } from '../../src/core/io.ts';
import { compare } from '../../src/core/settings/record.ts';
import type { Settings } from '../../src/core/settings/types.ts';
import { deliver } from './driver.ts';
import type { Fault, Target } from './faults.ts';
import { clocksAt, type Host } from './host.ts';
import type { Random } from './random.ts';
import { itemOf, type World } from './world.ts';

/** An order with nodes by index; -1 = the agent shall choose. */
export type Order =
  | { readonly k: 'switchover'; readonly to: number }
  | { readonly k: 'schedule'; readonly to: number; readonly inMs: number }
  | { readonly k: 'unschedule' }
  | { readonly k: 'pause'; readonly paused: boolean }
  | { readonly k: 'maintenance'; readonly node: number; readonly on: boolean; readonly drainMs: number | null }
  | { readonly k: 'failover'; readonly to: number }
  | { readonly k: 'leave' }
  | { readonly k: 'forget'; readonly node: number };

/** Draws one order. */
function drawOrder(random: Random, hosts: number): Order {
  const node = () => random.below(hosts);
  const to = () => random.below(hosts + 1) - 1;
  const dice = random.next();
  if (dice < 0.25) return { k: 'switchover', to: to() };
  if (dice < 0.35) return { k: 'schedule', to: to(), inMs: random.between(50, 4000) };
  if (dice < 0.4) return { k: 'unschedule' };
  if (dice < 0.5) return { k: 'pause', paused: true };
  if (dice < 0.65) return { k: 'pause', paused: false };
  if (dice < 0.73) return { k: 'maintenance', node: node(), on: true, drainMs: random.chance(0.5) ? random.between(0, 2000) : null };
  if (dice < 0.85) return { k: 'maintenance', node: node(), on: false, drainMs: null };
  if (dice < 0.94) return { k: 'failover', to: to() };
  return { k: 'forget', node: node() };
}

/** The faults of operators and of nodes that come and go, to be added to a storm. */
export function orderFaults(
  random: Random,
  hosts: number,
  node: () => Target,
): readonly { readonly meanMs: number; readonly draw: (at: number, left: number) => Fault }[] {
  return [
    { meanMs: 2500, draw: (at) => ({ at, k: 'order', node: node(), order: drawOrder(random, hosts) }) },
    // Mostly in time for the lease, sometimes not.
    { meanMs: 9000, draw: (at, left) => ({ at, k: 'reload', node: node(), forMs: Math.max(1, Math.min(random.between(20, 2500), left)) }) },
    {
      meanMs: 24_000,
      draw: (at, left) => ({ at, k: 'leave', node: node(), forMs: Math.max(1, Math.min(random.between(2000, 12_000), left)) }),
    },
  ];
}

/** Gives an order to an agent, as its control service would. */
export function give(world: World, host: Host, order: Order): void {
  if (host.agent === null) return;
  world.orders += 1;
  const command = commandOf(world, host, order);
  deliver(world, host, host.inc, { input: { k: 'command', id: world.orders, command }, call: null, timer: false });
}

function commandOf(world: World, host: Host, order: Order): Command {
  const by = 'nemesis';
  const name = (index: number) => (index < 0 ? '' : itemOf(world.hosts, index % world.hosts.length).id);
  switch (order.k) {
    case 'switchover':
      return { k: 'switchover', to: name(order.to), by, dryRun: false };
    case 'schedule':
      return { k: 'schedule', to: name(order.to), atMs: clocksAt(host, world.t).wall + order.inMs, by };
    case 'unschedule':
      return { k: 'unschedule' };
    case 'pause':
      return { k: 'pause', paused: order.paused, by, wait: false };
    case 'maintenance':
      return { k: 'maintenance', node: name(order.node), on: order.on, by, wait: false, drainMs: order.drainMs };
    case 'failover':
      return { k: 'failover', to: name(order.to), by };
    case 'leave':
      return { k: 'leave', by };
    case 'forget':
      return { k: 'forget', node: name(order.node), by };
  }
}

/** After the storm: the operator sees to it that nothing stays paused, in maintenance or planned. */
export function takeBack(world: World): void {
  let newest: { host: Host; settings: Settings } | null = null;
  for (const host of world.hosts) {
    const settings = host.agent?.settings?.();
    if (settings !== undefined && (newest === null || compare(settings, newest.settings) > 0)) newest = { host, settings };
  }
  if (newest === null) return;
  const { host, settings } = newest;
  if (settings.paused) give(world, host, { k: 'pause', paused: false });
  if (settings.schedule !== null) give(world, host, { k: 'unschedule' });
  for (const { node } of settings.maintenance)
    give(world, host, { k: 'maintenance', node: world.names.indexOf(node), on: false, drainMs: null });
}
