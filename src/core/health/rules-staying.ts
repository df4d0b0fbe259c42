// The rows of the table in rules.ts for what is named and moves nothing, with the reason why not:
//
// - a full disk (answers go on), a hot set thrown away (it is loaded again), a runner that died while idle (the next request starts it again), a
//   model that a poisoned cache denies or whose load fails (a standby without it counts as less warm; on the active its users alone miss it)
// - a part of a model beside graphics memory, slow tokens, reloads, a process left behind: it serves, slower than it could
// - a vision model that fails with images: text goes on, and the same version elsewhere most likely fails with them too
import { ORPHAN_LOOKS } from './learn-runners.ts';
import { missing, orphanNames, SLOW_TIMES, shortOfMemory, thrashed } from './signs.ts';
import { type HealthState, succeeded } from './state.ts';
import type { LoadTroubleKind, Verdict, VerdictKind } from './types.ts';
import { bytes, outcome, seconds, some } from './words.ts';

/** One row of the table. `distrust`: what the row makes of the need to recover; absent = as it was. */
export type Rule = {
  readonly kind: VerdictKind;
  readonly when: (s: HealthState, mono: number) => boolean;
  readonly ollama: Verdict['ollama'];
  readonly unfit?: true;
  readonly distrust?: boolean;
  readonly reason: (s: HealthState, mono: number) => string;
};

const LOST_SHOWN_MS = 600_000;

/** What each kind of failed load means. */
const LOADS: Readonly<Record<LoadTroubleKind, (model: string) => string>> = {
  'load-crash': (model) => `load crash: the runner of ${model} ended while it loaded`,
  'load-stall': (model) => `load stall: ${model} made no progress and was given up`,
  'memory-short': (model) => `out of memory: ${model} does not fit beside what is there`,
  'model-damaged': (model) => `damaged model: a file of ${model} (weights or projector) is missing or cut for Ollama`,
  'version-skew': (model) => `version skew: this Ollama does not know how to run ${model}`,
  'load-failed': (model) => `${model} could not be loaded`,
};

function loadRule(kind: LoadTroubleKind): Rule {
  return {
    kind,
    when: (s, mono) => s.loadTrouble?.kind === kind && mono - s.loadTrouble.at < LOST_SHOWN_MS,
    ollama: 'degraded',
    distrust: false,
    reason: (s) => {
      const version = kind === 'version-skew' ? ` (version ${s.version})` : '';
      return `${LOADS[kind](s.loadTrouble?.model ?? '')}${version}: "${s.loadTrouble?.error}"`;
    },
  };
}

/** Behind the rows that move the role; the first that matches speaks. */
export const STAYING: readonly Rule[] = [
  {
    kind: 'list-error',
    when: (s) => s.tags !== null && !succeeded(s.tags),
    ollama: 'degraded',
    distrust: false,
    reason: (s) => `the list of models cannot be read: GET /api/tags ${outcome(s.tags)}`,
  },
  {
    kind: 'models-missing',
    when: (s) => s.config.required.length > 0 && s.tags === null,
    ollama: 'degraded',
    distrust: false,
    reason: () => 'the list of models has not been read yet, and models are required here',
  },
  {
    kind: 'models-missing',
    when: (s) => missing(s).length > 0,
    ollama: 'degraded',
    distrust: false,
    reason: (s) => `required models are missing here: ${some(missing(s))}`,
  },
  {
    kind: 'disk-full',
    when: (s) => s.disk !== null && s.disk.freeBytes < s.limits.disk.fullBytes,
    ollama: 'degraded',
    distrust: false,
    reason: (s) => `disk full: ${bytes(s.disk?.freeBytes ?? 0)} left on the disk of the store; answers go on, pulls and copies do not`,
  },
  {
    kind: 'hot-set-lost',
    when: (s, mono) => s.lost !== null && mono - s.lost.at < LOST_SHOWN_MS,
    ollama: 'degraded',
    distrust: false,
    reason: (s, mono) =>
      `hot set lost: ${some(s.lost?.names ?? [])} left memory at once ${seconds(mono - (s.lost?.at ?? mono))} ago; out of memory does that${mono - s.oomAt < LOST_SHOWN_MS ? ', and the kernel killed for want of memory' : ''}`,
  },
  ...(['memory-short', 'load-stall', 'version-skew', 'model-damaged', 'load-crash', 'load-failed'] as const).map(loadRule),
  {
    kind: 'cache-poisoned',
    when: (s) => s.poisoned !== null,
    ollama: 'degraded',
    distrust: false,
    reason: (s) =>
      `poisoned cache: Ollama refuses ${s.poisoned} with "does not support generate", and its own /api/show says that it does; its weights were missing when it was first asked for`,
  },
  {
    kind: 'runner-dead',
    when: (s) => [...s.orphans.values()].some((looks) => looks >= ORPHAN_LOOKS),
    ollama: 'degraded',
    distrust: false,
    reason: (s) => `a runner died: ${some(orphanNames(s))} stands in /api/ps without a process; the next request loads it again`,
  },
  {
    kind: 'vision-broken',
    when: (s) => s.blind !== null,
    ollama: 'degraded',
    distrust: false,
    reason: (s) => `vision broken: ${s.blind?.model} fails with an image (version ${s.version}), and text goes on: "${s.blind?.error}"`,
  },
  {
    kind: 'vram-short',
    when: (s) => shortOfMemory(s) !== null,
    ollama: 'degraded',
    distrust: false,
    reason: (s) => `graphics memory short: ${shortOfMemory(s)}; another process may hold it`,
  },
  {
    kind: 'slow-tokens',
    when: (s) => s.pace.slow >= SLOW_TIMES,
    ollama: 'degraded',
    distrust: false,
    reason: (s) =>
      `slow tokens: one of ${s.pace.model} took ${seconds(s.pace.ms)}, ${seconds(s.pace.best.get(s.pace.model) ?? 0)} at best; it may run on the CPU whatever /api/ps tells`,
  },
  {
    kind: 'zombie-runner',
    when: (s) => s.runners.some((r) => r.zombie),
    ollama: 'degraded',
    distrust: false,
    reason: (s, mono) => {
      const zombie = s.runners.find((r) => r.zombie);
      return `zombie runner: process ${zombie?.pid} is ready and holds its memory, and /api/ps has not named it for ${seconds(mono - (zombie?.unlistedAt ?? mono))}`;
    },
  },
  {
    kind: 'reload-thrash',
    when: (s, mono) => thrashed(s, mono) !== null,
    ollama: 'degraded',
    distrust: false,
    reason: (s, mono) =>
      `reload thrash: ${thrashed(s, mono)?.name} was loaded ${thrashed(s, mono)?.times} times in ${seconds(s.limits.crash.windowMs)}; requests that name different contexts do that, or models that do not fit together`,
  },
  {
    kind: 'scheduler-busy',
    when: (s) => s.ps !== null && (!succeeded(s.ps) || s.ps.ms > s.config.timeoutMs / 2),
    ollama: 'degraded',
    distrust: false,
    reason: (s) => `the scheduler of Ollama is blocked or busy: GET /api/ps ${outcome(s.ps)}`,
  },
];
