// The agents of a run, around the core in a given folder: the production one, or a mutant's copy.
import { type Core, coreAgents } from './core-agent.ts';
import { type LeaseMachine, leaseAgents } from './lease-agent.ts';
import { wholeNumber } from './plan.ts';
import type { Cast } from './types.ts';

/** `lease`: nothing but the lease machine. `core`: the whole composed core. */
export type AgentKind = 'lease' | 'core';

// A whole core takes more than ten times as long as the lease machine alone.
const CORE_EVERY = wholeNumber(process.env, 'CORE_EVERY', 8);

/** Which kind plays a seed; `mix` = mostly the lease machine, every CORE_EVERY-th seed (of the environment; 8) the whole core. */
export function kindOf(kind: AgentKind | 'mix', seed: number): AgentKind {
  if (kind !== 'mix') return kind;
  return seed % CORE_EVERY === 0 ? 'core' : 'lease';
}

/** URL of the production core's folder. */
export const PRODUCTION_CORE = new URL('../../src/core/', import.meta.url).href;

/** Loads the agents of a core. */
export async function castOf(kind: AgentKind, core: string): Promise<Cast> {
  if (kind === 'lease') {
    const machine: LeaseMachine = await import(new URL('lease/machine.ts', core).href);
    return { spawn: leaseAgents(machine), whole: false };
  }
  const { createCore, step }: Core = await import(new URL('step.ts', core).href);
  const { membersOf, tableOf }: Core = await import(new URL('membership/machine.ts', core).href);
  const { handOnOf }: Core = await import(new URL('lease/handon.ts', core).href);
  return { spawn: coreAgents({ createCore, step, membersOf, tableOf, handOnOf }), whole: true };
}
