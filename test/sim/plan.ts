// What a seed is run with, when nothing else is asked for: all presets, 1, 3 and 5 servers, and all modes, storms most often.
import { MODES, type Mode, PRESETS, type PresetName } from './presets.ts';
import type { RedisKind, RunOptions } from './types.ts';

/** Restrictions of a campaign; null = by the seed. */
export type Filter = {
  readonly preset: PresetName | null;
  readonly servers: number | null;
  readonly mode: Mode | null;
  readonly agents: number;
  readonly rateError: number;
  readonly redis: RedisKind;
  /** Names of the checkers to use; null = all. */
  readonly checkers: readonly string[] | null;
};

/** No restriction: 4 agents, clocks as good as the facts ask for. */
export const NO_FILTER: Filter = { preset: null, servers: null, mode: null, agents: 4, rateError: 0.005, redis: 'sound', checkers: null };

const SERVERS = [1, 3, 5] as const;
const MIX: readonly Mode[] = ['storm', 'lockdelay', 'storm', 'off', 'healthy', 'storm', 'lockdelay', 'off', 'storm', 'clean'];

/** The options of a seed: by themselves they determine the run. */
export function optionsOf(seed: number, filter: Filter): RunOptions {
  return {
    seed,
    preset: filter.preset ?? PRESETS[Math.floor(seed / 3) % PRESETS.length] ?? 'fast',
    servers: filter.servers ?? SERVERS[seed % 3] ?? 3,
    mode: filter.mode ?? MIX[Math.floor(seed / 12) % MIX.length] ?? 'storm',
    agents: filter.agents,
    joiners: 0,
    rateError: filter.rateError,
    redis: filter.redis,
    checkers: filter.checkers,
    without: new Set(),
    trace: false,
  };
}

/** The name of a preset, a mode or a number of servers from the outside; an unknown one is refused with what would be right. */
export function filterFrom(env: Readonly<Record<string, string | undefined>>): Filter {
  const oneOf = <T extends string>(name: string, known: readonly T[]): T | null => {
    const text = env[name];
    if (text === undefined || text === '') return null;
    const found = known.find((k) => k === text);
    if (found === undefined) throw new Error(`${name}=${text} is not known; one of ${known.join(', ')}`);
    return found;
  };
  const servers = oneOf('N', ['1', '3', '5']);
  return {
    preset: oneOf('PRESET', PRESETS),
    servers: servers === null ? null : Number(servers),
    mode: oneOf('MODE', MODES),
    agents: wholeNumber(env, 'AGENTS', 4),
    rateError: NO_FILTER.rateError,
    redis: NO_FILTER.redis,
    checkers: env.CHECK === undefined || env.CHECK === '' ? null : env.CHECK.split(','),
  };
}

/** A whole number >= 1 from the environment. */
export function wholeNumber(env: Readonly<Record<string, string | undefined>>, name: string, otherwise: number): number {
  const text = env[name];
  if (text === undefined || text === '') return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${name}=${text} is not a whole number from 1`);
  return value;
}
