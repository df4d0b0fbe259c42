// What may be done about a trouble: nothing, unless the configuration allows it; never more often than its cap; never twice within its cool-down.

import type { RemedyName, RemedyOrder } from './remedy-types.ts';
import { overdueName } from './signs.ts';
import { type HealthState, nameOfRunner } from './state.ts';
import type { VerdictKind } from './types.ts';

const HOUR_MS = 3_600_000;
const KEPT_MAX = 64;
/** A driver that has not told the end of an order by then never will. */
const ORDER_MS_MAX = 60_000;

/** An order without its number. */
type Draft = RemedyOrder extends infer O ? (O extends RemedyOrder ? Omit<O, 'id'> : never) : never;

/** Gives an order where one is allowed and due. `kind`: the verdict of this moment. */
export function orderRemedy(s: HealthState, kind: VerdictKind, mono: number): HealthState {
  const last = s.remedied.at(-1);
  if (s.remedy !== null) return last !== undefined && mono - last.at > ORDER_MS_MAX ? { ...s, remedy: null } : s;
  const draft = cures(s, kind, mono).find((d) => isAllowed(s, d.k, mono));
  if (draft === undefined) return s;
  const order: RemedyOrder = { ...draft, id: (last?.id ?? 0) + 1 };
  return { ...s, remedy: order, remedied: [...s.remedied, { id: order.id, k: order.k, at: mono, text: '' }].slice(-KEPT_MAX) };
}

/** The cures of a trouble, the mildest first. A milder one that is still cooling down leaves the next to try. */
function cures(s: HealthState, kind: VerdictKind, mono: number): Draft[] {
  switch (kind) {
    case 'hung-runner': {
      // One that answers again is left alone.
      const frozen = s.runners.find((r) => r.frozen && r.silences > 0);
      if (frozen === undefined) return [];
      const why = `the runner of ${nameOfRunner(s, frozen)} is frozen`;
      return [{ k: 'killRunner', pid: frozen.pid, startedAt: frozen.startedAt, why }, restart(why)];
    }
    case 'scheduler-deadlock': {
      // The one that leaves memory soonest is what Ollama waits for.
      const [blocker] = [...s.loaded].sort((a, b) => (a.expiresInMs ?? Infinity) - (b.expiresInMs ?? Infinity));
      const why = 'no load begins although nothing is at work';
      return [...(blocker === undefined ? [] : [{ k: 'unloadBlocker' as const, model: blocker.name, why }]), restart(why)];
    }
    case 'gpu-hang':
    case 'stalled-stream': {
      const runner = s.runners.find((r) => nameOfRunner(s, r) === s.failure?.model);
      const why = `${s.failure?.model} gives no token`;
      return [
        ...(runner === undefined ? [] : [{ k: 'killRunner' as const, pid: runner.pid, startedAt: runner.startedAt, why }]),
        restart(why),
      ];
    }
    case 'stuck-unload': {
      const name = overdueName(s, mono);
      const runner = s.runners.find((r) => nameOfRunner(s, r) === name);
      const why = `${name} does not leave memory`;
      return [
        ...(runner === undefined ? [] : [{ k: 'killRunner' as const, pid: runner.pid, startedAt: runner.startedAt, why }]),
        restart(why),
      ];
    }
    case 'cache-poisoned':
      return [
        ...(s.poisoned === null
          ? []
          : [{ k: 'healCache' as const, model: s.poisoned, why: `the cache of Ollama denies what ${s.poisoned} can do` }]),
      ];
    case 'server-hung':
      return [restart('Ollama does not answer')];
    case 'list-broken':
      return [restart('the list of models stays broken')];
    default:
      return [];
  }
}

function restart(why: string): Draft {
  return { k: 'restartOllama', why };
}

function isAllowed(s: HealthState, k: RemedyName, mono: number): boolean {
  const limit = s.config.remedies?.[k];
  if (limit === undefined || !limit.enabled) return false;
  const times = s.remedied.filter((r) => r.k === k && mono - r.at < HOUR_MS);
  const last = times.at(-1);
  return times.length < limit.perHourMax && (last === undefined || mono - last.at >= limit.coolDownMs);
}
