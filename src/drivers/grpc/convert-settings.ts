// The settings record between the generated types and the core's; the core's own check has the last word.
import { checkSettings } from '../../core/settings/record.ts';
import type { Settings } from '../../core/settings/types.ts';
import type * as wire from '../../gen/peer.ts';
import { count, refuse, uint64 } from './fields.ts';

/** A checked record; throws inside `parse`. */
export function settingsIn(w: wire.Settings): Settings {
  const { schedule } = w;
  const settings = checkSettings({
    version: count(w.version, 'settings.version'),
    paused: w.paused,
    pausedBy: w.pausedBy,
    maintenance: w.maintenance.map((m) => ({ ...m, drainUntilMs: count(m.drainUntilMs, 'drain_until_ms') })),
    schedule:
      schedule === undefined ? null : { ...schedule, id: count(schedule.id, 'schedule.id'), atMs: count(schedule.atMs, 'schedule.at_ms') },
  });
  return settings ?? refuse('the settings record is malformed');
}

/** A record for the wire. */
export function settingsOut(s: Settings): wire.Settings {
  const { version, paused, pausedBy, maintenance, schedule } = s;
  return {
    version: uint64(version),
    paused,
    pausedBy,
    maintenance: maintenance.map((m) => ({ ...m, drainUntilMs: uint64(m.drainUntilMs) })),
    schedule: schedule === null ? undefined : { ...schedule, id: uint64(schedule.id), atMs: uint64(schedule.atMs) },
  };
}
