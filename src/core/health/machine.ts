// Health: is the local Ollama fit to serve? From evidence to a verdict with its reason.
//
//   evidence -> learn.ts, learn-*.ts: facts and streaks -> rules.ts: the table, first matching row -> verdict
//                                                       -> levels.ts: each level apart, for operators
//                                                       -> canary.ts, remedies.ts: what is to be asked, what is to be done
//
// Rules:
// - Death is a closed port: the held connection closed and one fresh connect refused. It needs no second opinion.
// - Busy is not dead (H1): queues, long prompts, loads, pulls, a slow list, 100 % CPU never make a node unfit. Bytes that flow end every doubt.
// - One slow answer moves nothing (H2): silence takes several in a row, or a canary that had the runner to itself; a missing probe is no bad news.
// - A port that accepts but says nothing is how Ollama starts (it binds, then discovers GPUs): `starting` for `startMs`, once per start.
// - Back from the dead is believed after `recoveries` good probes in a row.
import type { Now } from '../types.ts';
import { askCanary, canaryDueAt } from './canary.ts';
import { learn } from './learn.ts';
import { orderRemedy } from './remedies.ts';
import { ruleFor } from './rules.ts';
import { inWindow } from './signs.ts';
import type { HealthState } from './state.ts';
import type { Evidence, HealthWant, Verdict } from './types.ts';

export { createHealth, type HealthState } from './state.ts';

/** What reaches the machine: evidence, or only the passing of time. */
export type HealthInput = { readonly k: 'tick' } | Evidence;

/** What a step returns. `wakeAt`: monotonic ms at which time alone can change something; Infinity = never. */
export type HealthTurn = { readonly state: HealthState; readonly verdict: Verdict; readonly wakeAt: number };

/** Takes one fact in, and gives the verdict over all of them. */
export function stepHealth(state: HealthState, input: HealthInput, now: Now): HealthTurn {
  const { mono } = now;
  const learned = input.k === 'tick' ? state : learn({ ...state, at: mono }, input, mono);
  const rule = ruleFor(learned, mono);
  const trusted: HealthState = { ...learned, distrusted: rule.distrust ?? learned.distrusted };
  const verdict: Verdict = {
    ollama: rule.ollama,
    reason: rule.reason(learned, mono),
    at: learned.at,
    version: learned.version,
    kind: rule.kind,
    unfit: rule.unfit === true,
  };
  const next = orderRemedy(askCanary(trusted, mono), rule.kind, mono);
  const windowEnd = inWindow(next, mono) && !next.answered ? next.windowAt + next.config.startMs : Infinity;
  return { state: next, verdict, wakeAt: Math.min(windowEnd, canaryDueAt(next, mono)) };
}

/** What the driver is to ask and to do now. */
export function healthWant(s: HealthState | null): HealthWant {
  return { canary: s?.canary.open === true ? s.canary.order : null, remedy: s?.remedy ?? null };
}
