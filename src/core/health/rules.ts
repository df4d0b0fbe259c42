// The one table that turns facts into a verdict: the first row that matches speaks, and its sentence is what `agentctl explain` shows.
//
// - `down` gives the role to any node that may take it; `unfit` only to a node without such trouble (H3); the rest moves nothing.
// - What is named although the role stays has its rows in rules-staying.ts, behind all that move it.
import { type Rule, STAYING } from './rules-staying.ts';
import { inWindow, isCrashing, lostCard, overdueName, recent, since, slowLoad, stuckLoad } from './signs.ts';
import { type HealthState, nameOfRunner, succeeded } from './state.ts';
import { outcome, seconds } from './words.ts';

const RULES: readonly Rule[] = [
  {
    kind: 'crash-loop',
    when: (s, mono) => s.refused && isCrashing(s.deaths, s, mono),
    ollama: 'down',
    distrust: true,
    reason: (s, mono) =>
      `crash loop: Ollama died ${recent(s.deaths, s, mono)} times in ${seconds(s.limits.crash.windowMs)}; the connection was refused`,
  },
  {
    kind: 'process-dead',
    when: (s) => s.refused,
    ollama: 'down',
    distrust: true,
    reason: () => 'nobody listens on the port of Ollama: the connection was refused',
  },
  {
    kind: 'server-hung',
    when: (s) => s.misses >= s.config.failures && s.answered,
    ollama: 'down',
    distrust: true,
    reason: (s) =>
      `Ollama gave no answer to ${s.misses} probes in a row, ${s.config.timeoutMs} ms each${s.server?.state === 'T' ? '; its process is stopped' : ''}`,
  },
  {
    kind: 'starting',
    when: (s, mono) => !s.answered && inWindow(s, mono) && s.misses > 0,
    ollama: 'starting',
    distrust: true,
    reason: (s, mono) =>
      `Ollama accepts connections but has not answered for ${seconds(mono - s.windowAt)}; a start may take ${seconds(s.config.startMs)}`,
  },
  {
    kind: 'server-hung',
    when: (s) => s.misses >= s.config.failures,
    ollama: 'down',
    distrust: true,
    reason: (s) => `Ollama gave no answer to ${s.misses} probes in a row, and its time to start is over`,
  },
  {
    kind: 'starting',
    when: (s, mono) => s.http === null && inWindow(s, mono),
    ollama: 'starting',
    reason: () => 'Ollama accepts connections and has not been asked yet',
  },
  { kind: 'unknown', when: (s) => s.http === null, ollama: 'unknown', reason: () => 'Ollama has not been probed yet' },
  { kind: 'unknown', when: (s) => !s.served, ollama: 'unknown', reason: (s) => `Ollama has not answered yet, ${s.misses} probes so far` },
  {
    kind: 'starting',
    when: (s) => s.distrusted && s.goods < s.config.recoveries && (s.misses > 0 || succeeded(s.http)),
    ollama: 'starting',
    reason: (s) => `Ollama is back and has answered ${s.goods} of ${s.config.recoveries} probes in a row`,
  },
  {
    kind: 'crash-loop',
    when: (s, mono) => isCrashing(s.deaths, s, mono),
    ollama: 'degraded',
    unfit: true,
    distrust: false,
    reason: (s, mono) =>
      `crash loop: Ollama died ${recent(s.deaths, s, mono)} times in ${seconds(s.limits.crash.windowMs)}; it is believed again ${seconds(s.limits.crash.holdMs)} after the last`,
  },
  {
    kind: 'http-error',
    when: (s) => s.misses === 0 && s.erring,
    ollama: 'degraded',
    unfit: true,
    distrust: false,
    reason: (s) =>
      succeeded(s.http)
        ? `GET /api/version answered with an error, and well ${s.goods} of ${s.config.recoveries} times since`
        : `GET /api/version answers ${s.http?.status}`,
  },
  {
    kind: 'hung-runner',
    when: (s) => s.runners.some((r) => r.frozen),
    ollama: 'degraded',
    unfit: true,
    distrust: false,
    reason: (s) => {
      const frozen = s.runners.find((r) => r.frozen);
      if (frozen === undefined) return 'a runner is frozen';
      if (frozen.silences === 0)
        return `hung runner: the runner of ${nameOfRunner(s, frozen)} (pid ${frozen.pid}) has answered ${frozen.goods} of ${s.config.recoveries} times since it was silent`;
      const how = frozen.stopped ? 'it is stopped by a signal' : 'it does not work either';
      return `hung runner: the runner of ${nameOfRunner(s, frozen)} (pid ${frozen.pid}) was silent on its own /health ${frozen.silences} times in a row, ${how}`;
    },
  },
  {
    kind: 'stalled-stream',
    when: (s) => s.failure?.kind === 'stalled-stream',
    ollama: 'degraded',
    unfit: true,
    distrust: false,
    reason: (s, mono) =>
      `stalled stream: an answer began and stopped, and ${s.failure?.model} gave no token in time either; so for ${since(s, mono)}`,
  },
  {
    kind: 'gpu-hang',
    when: (s) => s.failure?.kind === 'gpu-hang',
    ollama: 'degraded',
    unfit: true,
    distrust: false,
    reason: (s, mono) =>
      `generation hangs: ${s.failure?.model} is loaded and its runner answers, but it gave no token in time; so for ${since(s, mono)}`,
  },
  {
    kind: 'runner-errors',
    when: (s) => s.failure?.kind === 'runner-errors',
    ollama: 'degraded',
    unfit: true,
    distrust: false,
    reason: (s) => `generation fails: ${s.failure?.model} answered one token's request with "${s.failure?.error}"`,
  },
  {
    kind: 'scheduler-deadlock',
    when: (s, mono) => stuckLoad(s, mono) !== null,
    ollama: 'degraded',
    unfit: true,
    distrust: false,
    reason: (s, mono) => `scheduler deadlock: ${stuckLoad(s, mono)}; loaded models answer, no runner starts`,
  },
  {
    kind: 'stuck-unload',
    when: (s, mono) => overdueName(s, mono) !== null,
    ollama: 'degraded',
    unfit: true,
    distrust: false,
    reason: (s, mono) =>
      `stuck unload: ${overdueName(s, mono)} should have left memory ${seconds(s.limits.stuckUnloadMs)} ago or longer and nobody uses it; whoever asks for it waits without a byte`,
  },
  {
    kind: 'runner-crash-loop',
    when: (s, mono) => isCrashing(s.crashes, s, mono),
    ollama: 'degraded',
    unfit: true,
    distrust: false,
    reason: (s, mono) => `crash loop: runners died ${recent(s.crashes, s, mono)} times in ${seconds(s.limits.crash.windowMs)}`,
  },
  {
    kind: 'list-broken',
    when: (s, mono) => mono - s.listBadSince >= s.limits.listMs,
    ollama: 'degraded',
    unfit: true,
    distrust: false,
    reason: (s, mono) =>
      `the list of models has been broken for ${seconds(mono - s.listBadSince)}: GET /api/tags ${outcome(s.tags)}; a dangling link below manifests/ does that, until Ollama restarts`,
  },
  {
    kind: 'gpu-lost',
    when: (s) => lostCard(s) !== null,
    ollama: 'degraded',
    unfit: true,
    distrust: false,
    reason: (s) => `graphics card lost: ${lostCard(s)}`,
  },
  ...STAYING,
  {
    kind: 'slow',
    when: (s) => s.misses > 0,
    ollama: 'up',
    distrust: false,
    reason: (s) => `Ollama missed ${s.misses} of ${s.config.failures} probes in a row; one slow answer moves nothing`,
  },
  {
    kind: 'slow',
    when: (s) => (s.http?.ms ?? 0) > s.limits.warnMs,
    ollama: 'up',
    distrust: false,
    reason: (s) => `Ollama answers slowly: ${Math.round(s.http?.ms ?? 0)} ms, more than ${s.limits.warnMs}`,
  },
  {
    kind: 'slow-load',
    when: (s, mono) => slowLoad(s, mono) !== null,
    ollama: 'up',
    distrust: false,
    reason: (s, mono) => `slow load: ${slowLoad(s, mono)}, and its runner works on it; loaded models answer`,
  },
  {
    kind: 'healthy',
    when: () => true,
    ollama: 'up',
    distrust: false,
    reason: (s) => `Ollama answers in ${Math.round(s.http?.ms ?? 0)} ms; ${s.tags?.names.length ?? 0} models, ${s.ps?.loaded ?? 0} loaded`,
  },
];

const LAST = RULES.length - 1;

/** The row that speaks. */
export function ruleFor(s: HealthState, mono: number): Rule {
  const rule = RULES.find((r) => r.when(s, mono)) ?? RULES[LAST];
  if (rule === undefined) throw new Error('bug: the table of health has no last row');
  return rule;
}
