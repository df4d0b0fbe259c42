// Planned switchovers: none begins before its time, the one that begins is taken out of the settings in the same turn, and a restart keeps what
// the disk holds (O5).
import { textOf } from '../../../src/core/settings/record.ts';
import type { Schedule, Settings } from '../../../src/core/settings/types.ts';
import { clocksAt } from '../host.ts';
import { fail, type Watch, type World } from '../world.ts';

/** Watches planned switchovers (O5). */
export function watchSchedule(world: World): Watch {
  const held: (Schedule | null)[] = world.hosts.map(() => null);
  const saved: (Settings | null)[] = world.hosts.map(() => null);
  return {
    name: 'schedule',
    started(host) {
      saved[host.index] = host.disk.settings;
    },
    input(host, input) {
      const brings = input.k === 'settings' || input.k === 'command' || (input.k === 'peer' && input.msg.k === 'settings');
      held[host.index] = brings ? null : (host.agent?.settings?.().schedule ?? null);
    },
    turn(host, turn) {
      const settings = host.agent?.settings?.();
      if (settings === undefined) return;
      const disk = saved[host.index] ?? null;
      saved[host.index] = null;
      if (disk !== null && disk.version === settings.version && textOf(disk) !== textOf(settings))
        fail(world, 'O5', `${host.id} starts with ${textOf(settings)} although its disk holds ${textOf(disk)}`);
      if (!turn.effects.some((effect) => effect.k === 'log' && effect.event === 'schedule_runs')) return;
      const plan = held[host.index] ?? null;
      if (settings.schedule !== null)
        fail(world, 'O5', `${host.id} begins the planned switchover ${settings.schedule.id} and keeps the plan`);
      if (plan !== null && clocksAt(host, world.t).wall < plan.atMs)
        fail(world, 'O5', `${host.id} begins the planned switchover ${plan.id} before its time`);
    },
  };
}
