// What the failure matrix promises: outage at p99 in ms by case and preset. Cases without a line are reported, not judged, except for two owners.
import type { PresetName } from '../../../src/config/presets.ts';

/** A limit in ms, or that the role does not move. */
export type Target = number | 'no failover';

type Line = readonly [ultra: Target | null, fast: Target, standard: Target];

const planned: Line = [50, 50, 50];
const lapse: Line = [650, 1100, 2300];
const none: Line = [0, 0, 0];

const targets: Readonly<Record<string, Line>> = {
  switchover: planned,
  'ollama-kill': [300, 300, 300],
  'agent-kill': [400, 500, 500],
  'agent-frozen': lapse,
  'keepalived-frozen': lapse,
  'agent-and-keepalived-frozen': lapse,
  'host-dead': lapse,
  'link-cut': lapse,
  'redis-cut': planned,
  'redis-and-peers-cut': lapse,
  'redis-all-down': none,
  'redis-restart-empty': none,
  'redis-flushall': none,
  'clock-step': planned,
  'clock-step-back': none,
  'clock-step-standby': none,
  'clock-step-redis': none,
  'cut-healed': none,
  load: [null, 'no failover', 'no failover'],
};

/** The target of a case; null = report only. */
export function targetOf(name: string, preset: PresetName): Target | null {
  const index = ['ultra', 'fast', 'standard'].indexOf(preset);
  return targets[name]?.[index] ?? null;
}
