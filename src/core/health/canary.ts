// When is one token asked, and of which model? Only where nothing else proves life, and only of a model that is loaded, whose runner answers,
// and that would not leave memory meanwhile: so a probe never loads, evicts or reloads (H4).

import { isProven } from './learn-progress.ts';
import { SLOW_TIMES } from './signs.ts';
import { type HealthState, isLoading, type RunnerFact, succeeded } from './state.ts';
import type { CanaryOrder, LoadedModel } from './types.ts';

/** A look older than this says nothing about now. */
const FRESH_MS = 10_000;
/** Between two canaries, whatever the suspicion; less where the period is. */
const GAP_MS = 5000;
/** A model must have this much longer to stay than the canary may take. */
const STAY_MS = 15_000;
/** Room for the driver to tell that time is over. */
const LATE_MS = 2000;

/** Asks, or lets a question that nobody answered go. */
export function askCanary(s: HealthState, mono: number): HealthState {
  if (s.canary.open) {
    const limit = (s.canary.order?.deadlineMs ?? 0) + LATE_MS;
    return mono - s.canary.askedAt > limit ? { ...s, canary: { ...s.canary, open: false } } : s;
  }
  const why = reasonToAsk(s, mono);
  const model = why === null ? null : modelFor(s, why, mono);
  if (why === null || model === null) return s;
  const seq = s.canary.seq + 1;
  const runner = runnerOf(s, model);
  const order: CanaryOrder = {
    seq,
    model: model.name,
    numCtx: model.contextLength,
    image: wantsImage(s, model),
    deadlineMs: Math.max(s.limits.progress.deadlineMs, Math.round(10 * s.canary.slowestMs)),
    ...(runner === undefined ? {} : { runner: { pid: runner.pid, startedAt: runner.startedAt } }),
  };
  const asks = new Map([...s.canary.asks].filter(([name]) => s.loaded.some((m) => m.name === name)));
  asks.set(model.name, (asks.get(model.name) ?? 0) + 1);
  const waitingAtAsk = s.traffic?.waiting ?? 0;
  return { ...s, canary: { ...s.canary, order, seq, asks, askedAt: mono, open: true, why, busy: false, waitingAtAsk } };
}

/** Monotonic ms at which a canary may be due; Infinity = facts must change first. */
export function canaryDueAt(s: HealthState, mono: number): number {
  if (s.canary.open) return s.canary.askedAt + (s.canary.order?.deadlineMs ?? 0) + LATE_MS;
  if (s.loaded.length === 0) return Infinity;
  return Math.max(mono + 100, Math.min(s.canary.askedAt + gapMs(s), Math.max(s.provenAt, s.canary.askedAt) + s.limits.progress.everyMs));
}

function reasonToAsk(s: HealthState, mono: number): HealthState['canary']['why'] | null {
  if (!s.answered || s.misses > 0 || s.refused) return null;
  // Without a view of the requests its silence might be a queue.
  const t = s.traffic;
  if (t === null || mono - t.at >= FRESH_MS) return null;
  const { stallMs, everyMs } = s.limits.progress;
  const calm = t.prompting === 0 && !isLoading(s);
  // An answer that began and stopped looks like one that ended on a connection that is kept: the canaries of all models tell, one after the other.
  if (calm && s.failure === null && t.speaking > 0 && t.quietMs >= stallMs && unproven(s, t, mono).length > 0) return 'quiet';
  if (mono - s.canary.askedAt < gapMs(s)) return null;
  if (calm) {
    if (t.waiting > 0 && t.waitingMs >= stallMs && t.quietMs >= stallMs && mono - s.provenAt >= GAP_MS) return 'waiting';
  }
  if (t.waiting > 0 || t.prompting > 0) return null;
  // A doubt is not left open for the whole period.
  if (s.failure !== null || owesText(s) || (s.pace.slow > 0 && s.pace.slow < SLOW_TIMES)) return 'idle';
  return mono - Math.max(s.provenAt, s.canary.askedAt) >= everyMs ? 'idle' : null;
}

function gapMs(s: HealthState): number {
  return Math.min(GAP_MS, s.limits.progress.everyMs);
}

/** It failed with an image, and no text has told yet whether it fails with everything. */
function owesText(s: HealthState): boolean {
  return s.blind !== null && s.blind.goods === 0 && (s.canary.okAt.get(s.blind.model) ?? -Infinity) < s.blind.since;
}

function unproven(s: HealthState, t: NonNullable<HealthState['traffic']>, mono: number): readonly LoadedModel[] {
  return fitModels(s, mono).filter((m) => !isProven(s, m.name, t));
}

/** The loaded model to ask: the one that failed; else one that owes a proof; else each in turn. */
function modelFor(s: HealthState, why: HealthState['canary']['why'], mono: number): LoadedModel | null {
  const fit = fitModels(s, mono);
  const doubted = s.failure?.model ?? (owesText(s) ? s.blind?.model : s.pace.slow > 0 ? s.pace.model : undefined);
  const failed = fit.find((m) => m.name === doubted);
  const [owing] = why === 'quiet' && s.traffic !== null ? unproven(s, s.traffic, mono) : [];
  return failed ?? owing ?? fit[s.canary.seq % Math.max(1, fit.length)] ?? null;
}

function fitModels(s: HealthState, mono: number): readonly LoadedModel[] {
  if (!succeeded(s.ps) || mono - (s.ps?.at ?? 0) > FRESH_MS || mono - s.runnersAt > FRESH_MS) return [];
  return s.loaded.filter((m) => mayAsk(s, m, mono));
}

function mayAsk(s: HealthState, m: LoadedModel, mono: number): boolean {
  // An embedding model has no tokens, and who asks it for some kills its runner.
  if (s.abilities.get(m.name)?.includes('completion') !== true) return false;
  const runner = runnerOf(s, m);
  if (runner === undefined || !isSound(runner)) return false;
  const use = s.uses.get(m.digest);
  if (use === undefined) return false;
  if (use.endsAt === null) return true;
  // A canary is a use: without this bound it would keep a model for ever that users let go.
  const { deadlineMs } = s.limits.progress;
  return use.endsAt - mono > deadlineMs + STAY_MS && mono - use.usedAt < use.keepMs;
}

function runnerOf(s: HealthState, m: LoadedModel): RunnerFact | undefined {
  return s.runners.find((r) => r.weights !== '' && r.weights === m.weights);
}

function isSound(r: RunnerFact): boolean {
  return r.answer === 'ok' && r.silences === 0 && !r.stopped && !r.frozen;
}

function wantsImage(s: HealthState, m: LoadedModel): boolean {
  const { imageEvery } = s.limits.progress;
  if (imageEvery === 0 || owesText(s) || s.abilities.get(m.name)?.includes('vision') !== true) return false;
  // One that failed with an image is shown one each second time: between them a text tells whether it fails with everything.
  const every = s.blind?.model === m.name ? Math.min(2, imageEvery) : imageEvery;
  return ((s.canary.asks.get(m.name) ?? 0) + 1) % every === 0;
}
