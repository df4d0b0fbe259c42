// Health: is the local Ollama fit to serve? The first verdict, from evidence to words.
//
// Rules:
// - Death is a closed port: the held connection closed and one fresh connect refused. It needs no second opinion.
// - Busy is not dead (H1): a slow or silent /api/ps or /api/tags beside an answering /api/version is at most `degraded`.
// - One slow answer moves nothing (H2): `down` by silence takes `failures` probes in a row, and a missing probe is not bad news.
// - A port that accepts but says nothing is how Ollama starts (it binds, then discovers GPUs): `starting` for `startMs`, once per start.
// - Back from the dead is believed after `recoveries` good probes in a row.
//
// The state holds facts; `RULES` is the one table that turns facts into a verdict: the first row that matches speaks.
import type { Now } from '../types.ts';
import type { Evidence, HealthConfig, Verdict } from './types.ts';

/** What is known of Ollama. Times are monotonic ms, -Infinity = never. */
export type HealthState = {
  readonly config: HealthConfig;
  readonly at: number;
  readonly version: string;
  /** The newest fresh connect was refused, and no connection opened since. */
  readonly refused: boolean;
  /** HTTP has ever answered. */
  readonly served: boolean;
  /** Start of the window in which silence counts as starting. */
  readonly windowAt: number;
  /** HTTP has answered since the window began. */
  readonly answered: boolean;
  /** Monotonic ms of the first answer since the last silence; Infinity while there is none. */
  readonly aliveSince: number;
  /** Probes without an answer, in a row. */
  readonly misses: number;
  /** Probes with an answer, in a row. */
  readonly goods: number;
  /** It was down or silent at its start, so `recoveries` good probes are due. */
  readonly distrusted: boolean;
  readonly http: { readonly status: number; readonly ms: number } | null;
  readonly tags: { readonly status: number; readonly ms: number; readonly names: readonly string[] } | null;
  readonly ps: { readonly status: number; readonly ms: number; readonly loaded: number } | null;
};

/** What reaches the machine: evidence, or only the passing of time. */
export type HealthInput = { readonly k: 'tick' } | Evidence;

/** What a step returns. `wakeAt`: monotonic ms at which time alone can change the verdict; Infinity = never. */
export type HealthTurn = { readonly state: HealthState; readonly verdict: Verdict; readonly wakeAt: number };

/** Knows nothing yet: the first verdict is `unknown`. */
export function createHealth(config: HealthConfig, _now: Now): HealthState {
  return {
    config,
    at: -Infinity,
    version: '',
    refused: false,
    served: false,
    windowAt: -Infinity,
    answered: false,
    aliveSince: Infinity,
    misses: 0,
    goods: 0,
    distrusted: false,
    http: null,
    tags: null,
    ps: null,
  };
}

/** Takes one fact in, and gives the verdict over all of them. */
export function stepHealth(state: HealthState, input: HealthInput, now: Now): HealthTurn {
  const learned = input.k === 'tick' ? state : learn({ ...state, at: now.mono }, input, now.mono);
  const rule = ruleFor(learned, now.mono);
  const next: HealthState = { ...learned, distrusted: rule.distrust ?? learned.distrusted };
  const verdict: Verdict = { ollama: rule.ollama, reason: rule.reason(learned, now.mono), at: learned.at, version: learned.version };
  return { state: next, verdict, wakeAt: inWindow(next, now.mono) && !next.answered ? next.windowAt + next.config.startMs : Infinity };
}

function learn(s: HealthState, e: Evidence, mono: number): HealthState {
  switch (e.k) {
    case 'conn':
      // Its end alone is no news: the fresh connect that follows tells a death from a lost connection.
      return e.up ? opened(s, mono) : s;
    case 'connect':
      return e.result === 'refused' ? dead(s) : s;
    case 'http':
      return e.status === 0 ? { ...s, misses: s.misses + 1, goods: 0, aliveSince: Infinity, http: e } : alive(s, e, mono);
    case 'tags':
      return isOldSilence(s, e, mono) ? s : { ...s, tags: e };
    case 'ps':
      if (isOldSilence(s, e, mono)) return s;
      return { ...s, ps: { status: e.status, ms: e.ms, loaded: e.loaded.length } };
  }
}

// What was asked while the whole process was silent says nothing about the one question.
function isOldSilence(s: HealthState, e: { readonly status: number; readonly ms: number }, mono: number): boolean {
  return e.status === 0 && mono - e.ms < s.aliveSince;
}

// A window opens with a new process: after a refusal, after service, or at the very first sight. A listener that drops
// connections without ever serving does not get a fresh window with each of them.
function opened(s: HealthState, mono: number): HealthState {
  const fresh = s.refused || s.answered || s.windowAt === -Infinity;
  return { ...s, refused: false, answered: fresh ? false : s.answered, windowAt: fresh ? mono : s.windowAt };
}

function dead(s: HealthState): HealthState {
  return {
    ...s,
    refused: true,
    answered: false,
    aliveSince: Infinity,
    windowAt: -Infinity,
    misses: 0,
    goods: 0,
    http: null,
    tags: null,
    ps: null,
  };
}

function alive(s: HealthState, e: Extract<Evidence, { k: 'http' }>, mono: number): HealthState {
  const version = e.version === '' ? s.version : e.version;
  const aliveSince = Math.min(s.aliveSince, mono);
  return { ...s, refused: false, served: true, answered: true, aliveSince, misses: 0, goods: s.goods + 1, http: e, version };
}

function inWindow(s: HealthState, mono: number): boolean {
  return s.windowAt !== -Infinity && mono - s.windowAt < s.config.startMs;
}

/** One row of the table. `distrust`: what the row makes of the need to recover; absent = as it was. */
type Rule = {
  readonly when: (s: HealthState, mono: number) => boolean;
  readonly ollama: Verdict['ollama'];
  readonly distrust?: boolean;
  readonly reason: (s: HealthState, mono: number) => string;
};

const RULES: readonly Rule[] = [
  {
    when: (s) => s.refused,
    ollama: 'down',
    distrust: true,
    reason: () => 'nobody listens on the port of Ollama: the connection was refused',
  },
  {
    when: (s) => s.misses >= s.config.failures && s.answered,
    ollama: 'down',
    distrust: true,
    reason: (s) => `Ollama gave no answer to ${s.misses} probes in a row, ${s.config.timeoutMs} ms each`,
  },
  {
    when: (s, mono) => !s.answered && inWindow(s, mono) && s.misses > 0,
    ollama: 'starting',
    distrust: true,
    reason: (s, mono) =>
      `Ollama accepts connections but has not answered for ${seconds(mono - s.windowAt)}; a start may take ${seconds(s.config.startMs)}`,
  },
  {
    when: (s) => s.misses >= s.config.failures,
    ollama: 'down',
    distrust: true,
    reason: (s) => `Ollama gave no answer to ${s.misses} probes in a row, and its time to start is over`,
  },
  {
    when: (s, mono) => s.http === null && inWindow(s, mono),
    ollama: 'starting',
    reason: () => 'Ollama accepts connections and has not been asked yet',
  },
  { when: (s) => s.http === null, ollama: 'unknown', reason: () => 'Ollama has not been probed yet' },
  { when: (s) => !s.served, ollama: 'unknown', reason: (s) => `Ollama has not answered yet, ${s.misses} probes so far` },
  {
    when: (s) => s.distrusted && s.goods < s.config.recoveries,
    ollama: 'starting',
    reason: (s) => `Ollama is back and has answered ${s.goods} of ${s.config.recoveries} probes in a row`,
  },
  {
    when: (s) => s.misses === 0 && !succeeded(s.http),
    ollama: 'degraded',
    distrust: false,
    reason: (s) => `GET /api/version answers ${s.http?.status}`,
  },
  {
    when: (s) => s.tags !== null && !succeeded(s.tags),
    ollama: 'degraded',
    distrust: false,
    reason: (s) => `the list of models cannot be read: GET /api/tags ${outcome(s.tags)}`,
  },
  {
    when: (s) => s.config.required.length > 0 && s.tags === null,
    ollama: 'degraded',
    distrust: false,
    reason: () => 'the list of models has not been read yet, and models are required here',
  },
  {
    when: (s) => missing(s).length > 0,
    ollama: 'degraded',
    distrust: false,
    reason: (s) => `required models are missing here: ${some(missing(s))}`,
  },
  {
    when: (s) => s.ps !== null && (!succeeded(s.ps) || s.ps.ms > s.config.timeoutMs / 2),
    ollama: 'degraded',
    distrust: false,
    reason: (s) => `the scheduler of Ollama is blocked or busy: GET /api/ps ${outcome(s.ps)}`,
  },
  {
    when: (s) => s.misses > 0,
    ollama: 'up',
    distrust: false,
    reason: (s) => `Ollama missed ${s.misses} of ${s.config.failures} probes in a row; one slow answer moves nothing`,
  },
  {
    when: () => true,
    ollama: 'up',
    distrust: false,
    reason: (s) => `Ollama answers in ${Math.round(s.http?.ms ?? 0)} ms; ${s.tags?.names.length ?? 0} models, ${s.ps?.loaded ?? 0} loaded`,
  },
];

const LAST = RULES.length - 1;

function ruleFor(s: HealthState, mono: number): Rule {
  const rule = RULES.find((r) => r.when(s, mono)) ?? RULES[LAST];
  if (rule === undefined) throw new Error('bug: the table of health has no last row');
  return rule;
}

/** `llama3.2` in a configuration means `llama3.2:latest` in a listing; names compare without case, as Ollama does. */
function missing(s: HealthState): readonly string[] {
  const listed = new Set((s.tags?.names ?? []).map((name) => name.toLowerCase()));
  return s.config.required.filter((name) => !listed.has(withTag(name).toLowerCase()));
}

function withTag(name: string): string {
  return name.lastIndexOf(':') > name.lastIndexOf('/') ? name : `${name}:latest`;
}

function succeeded(answer: { readonly status: number } | null): boolean {
  return answer !== null && answer.status >= 200 && answer.status < 300;
}

function outcome(answer: { readonly status: number; readonly ms: number } | null): string {
  if (answer === null || answer.status === 0) return 'gives no usable answer';
  return succeeded(answer) ? `took ${Math.round(answer.ms)} ms` : `answers ${answer.status}`;
}

function some(names: readonly string[]): string {
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}
