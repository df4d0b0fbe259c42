// Operators' settings: the highest version that reached a node wins there, nobody claims against them, and in the end everybody holds the same.

import type { Input } from '../../../src/core/io.ts';
import { textOf } from '../../../src/core/settings/record.ts';
import type { Host } from '../host.ts';
import { fail, type Watch, type World } from '../world.ts';

const AGREED_MS = 3000;
// How long an order to claim stands at a node.
const FORCED_MS = 10_000;

function recordIn(input: Input): { readonly version: number } | null {
  if (input.k === 'settings') return input.settings;
  return input.k === 'peer' && input.msg.k === 'settings' ? input.msg.settings : null;
}

function isForceOn(host: Host, input: Input): boolean {
  if (input.k === 'peer') return input.msg.k === 'forceClaim';
  return input.k === 'command' && input.command.k === 'failover' && (input.command.to === '' || input.command.to === host.id);
}

/** Watches the settings: S1 the merge, O1 the pause, O2 maintenance and nofailover. */
export function watchSettings(world: World): Watch {
  const highest = world.hosts.map(() => 0);
  const forcedUntil = world.hosts.map(() => Number.NEGATIVE_INFINITY);
  const agreed = () => {
    const texts = new Map<string, string>();
    for (const host of world.hosts) {
      const settings = host.agent?.settings?.();
      if (settings !== undefined) texts.set(textOf(settings), host.id);
    }
    if (texts.size > 1)
      fail(world, 'S1', `the settings differ long after healing: ${[...texts].map(([text, id]) => `${id} ${text}`).join('; ')}`);
  };
  return {
    name: 'settings',
    moments: [world.stormMs + AGREED_MS * (1 + world.lease.driftPpm / 1e6), world.endMs - 1],
    moment: agreed,
    started(host) {
      highest[host.index] = host.disk.settings.version;
      forcedUntil[host.index] = Number.NEGATIVE_INFINITY;
    },
    input(host, input, _call, mono) {
      const record = recordIn(input);
      if (record !== null) highest[host.index] = Math.max(highest[host.index] ?? 0, record.version);
      if (isForceOn(host, input)) forcedUntil[host.index] = mono + FORCED_MS;
    },
    turn(host) {
      const version = host.agent?.settings?.().version ?? 0;
      const most = highest[host.index] ?? 0;
      if (version < most) fail(world, 'S1', `${host.id} goes by settings ${version} although it got ${most}`);
      highest[host.index] = version;
    },
    sent(host, { call }, mono) {
      if (call.script !== 'cas' || call.mode !== 'claim') return;
      const settings = host.agent?.settings?.();
      if (settings?.paused === true) fail(world, 'O1', `${host.id} claims epoch ${call.epoch} while the cluster is paused`);
      if (settings?.maintenance.some((m) => m.node === host.id)) fail(world, 'O2', `${host.id} claims epoch ${call.epoch} in maintenance`);
      if (host.nofailover && mono > (forcedUntil[host.index] ?? 0))
        fail(world, 'O2', `${host.id} claims epoch ${call.epoch} although it has nofailover and nobody ordered it`);
    },
  };
}
