// Do tokens flow? Bytes on users' and runners' connections are the proof that costs nothing; a canary asks where they are silent.
import type { HealthState, ProgressFailure } from './state.ts';
import type { Evidence, Traffic } from './types.ts';

/** Takes a look at the connections in. */
export function learnTraffic(s: HealthState, t: Traffic, mono: number): HealthState {
  const traffic = { ...t, at: mono };
  const moved = t.movedBytes > 0;
  // Bytes from before it was asked say nothing of now; one request at a runner may be the canary itself.
  const flows = moved && mono - t.quietMs > s.canary.askedAt;
  const busy = s.canary.busy || flows || t.prompting > 1 || (t.prompting === 1 && t.waiting > s.canary.waitingAtAsk);
  const canary = s.canary.open ? { ...s.canary, busy } : s.canary;
  const usedAt = t.waiting > 0 || (t.speaking > 0 && moved) ? mono : s.usedAt;
  if (!moved) return { ...s, traffic, canary, usedAt };
  return {
    ...s,
    traffic,
    canary,
    usedAt,
    movedAt: mono,
    provenAt: mono,
    failure: s.failure?.kind === 'runner-errors' ? s.failure : mended(s),
  };
}

/** Takes the answer to a canary in. An old one is no answer to the question of now. */
export function learnCanary(s: HealthState, e: Extract<Evidence, { k: 'canary' }>, mono: number): HealthState {
  if (e.seq !== s.canary.seq || !s.canary.open) return s;
  const model = s.canary.order?.model ?? '';
  const image = s.canary.order?.image === true;
  // A slow time is forgotten by and by, or hangs would be found late for ever.
  const slowestMs = e.result === 'ok' ? Math.max(SLOWEST_KEPT * s.canary.slowestMs, e.ms) : s.canary.slowestMs;
  const canary = { ...s.canary, open: false, slowestMs };
  if (e.result === 'ok') {
    // Another model's token says nothing about the one that hangs.
    const failure = s.failure !== null && s.failure.model !== model ? s.failure : mended(s);
    const learned = image ? { blind: sees(s, model) } : { pace: s.canary.busy ? s.pace : paceOf(s, model, e.ms) };
    return { ...s, canary: { ...canary, okAt: okAt(s, model, mono) }, provenAt: mono, failure, ...learned };
  }
  if (e.result === 'silent') {
    // It stood in a queue behind requests that are being worked on, or the whole server is silent, which has its own row.
    if (s.canary.busy || s.misses > 0) return { ...s, canary };
    // An answer is open whose last byte is newer than the last token that was proven.
    const began = s.traffic !== null && s.traffic.speaking > 0 && !isProven(s, model, s.traffic);
    const kind = began ? 'stalled-stream' : 'gpu-hang';
    return { ...s, canary, failure: failureOf(s, kind, model, mono, '') };
  }
  // With an image alone it fails: the picture is sound and the model lists vision, so even a refusal is the server's. A text decides about the rest.
  if (image && e.status >= 400 && e.status !== 499 && e.status !== 503) {
    const since = s.blind?.model === model ? s.blind.since : mono;
    return { ...s, canary, blind: { model, since, error: e.error, goods: 0 } };
  }
  // The caller's faults and a full queue say nothing about the runner. An answer of success without its end was cut.
  if (e.status !== CUT && (e.status < 500 || e.status === 503)) return { ...s, canary };
  return { ...s, canary, failure: failureOf(s, 'runner-errors', model, mono, e.error) };
}

const SLOWEST_KEPT = 0.8;
/** Status of an answer that began well and ended without `done`. */
const CUT = 200;
/** A token that takes less is never slow. */
const SLOW_MIN_MS = 1000;
const PACES_MAX = 255;

function paceOf(s: HealthState, model: string, ms: number): HealthState['pace'] {
  const usual = s.pace.best.get(model) ?? ms;
  // Kept when a model leaves: it may come back to another place.
  const best = new Map([...s.pace.best].slice(-PACES_MAX)).set(model, Math.min(usual, ms));
  const slow = ms > SLOW_MIN_MS && ms > usual * s.limits.progress.slowFactor;
  return { best, slow: slow ? s.pace.slow + 1 : 0, model, ms };
}

function sees(s: HealthState, model: string): HealthState['blind'] {
  if (s.blind === null || s.blind.model !== model) return s.blind;
  return s.blind.goods + 1 >= s.config.recoveries ? null : { ...s.blind, goods: s.blind.goods + 1 };
}

/** The model gave a token after the last byte that users got. */
export function isProven(s: HealthState, model: string, t: Traffic & { readonly at: number }): boolean {
  return (s.canary.okAt.get(model) ?? -Infinity) > t.at - t.saidMs;
}

// Of models that are loaded: names of others are forgotten.
function okAt(s: HealthState, model: string, mono: number): HealthState['canary']['okAt'] {
  return new Map([...s.canary.okAt].filter(([name]) => s.loaded.some((m) => m.name === name))).set(model, mono);
}

// One token may be luck: a device that hangs now and then gives some.
function mended(s: HealthState): ProgressFailure | null {
  if (s.failure === null || s.failure.goods + 1 >= s.config.recoveries) return null;
  return { ...s.failure, goods: s.failure.goods + 1 };
}

function failureOf(s: HealthState, kind: ProgressFailure['kind'], model: string, mono: number, error: string): ProgressFailure {
  return s.failure !== null && s.failure.kind === kind
    ? { ...s.failure, model, error, goods: 0 }
    : { kind, model, since: mono, error, goods: 0 };
}
