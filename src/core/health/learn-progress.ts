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
  if (!moved) return { ...s, traffic, canary };
  return { ...s, traffic, canary, movedAt: mono, provenAt: mono, failure: s.failure?.kind === 'runner-errors' ? s.failure : mended(s) };
}

/** Takes the answer to a canary in. An old one is no answer to the question of now. */
export function learnCanary(s: HealthState, e: Extract<Evidence, { k: 'canary' }>, mono: number): HealthState {
  if (e.seq !== s.canary.seq || !s.canary.open) return s;
  const model = s.canary.order?.model ?? '';
  const canary = { ...s.canary, open: false, slowestMs: e.result === 'ok' ? Math.max(s.canary.slowestMs, e.ms) : s.canary.slowestMs };
  if (e.result === 'ok') {
    // Another model's token says nothing about the one that hangs.
    const failure = s.failure !== null && s.failure.model !== model ? s.failure : mended(s);
    return { ...s, canary: { ...canary, okAt: okAt(s, model, mono) }, provenAt: mono, failure };
  }
  if (e.result === 'silent') {
    // It stood in a queue behind requests that are being worked on, or the whole server is silent, which has its own row.
    if (s.canary.busy || s.misses > 0) return { ...s, canary };
    // An answer is open whose last byte is newer than the last token that was proven.
    const began = s.traffic !== null && s.traffic.speaking > 0 && !isProven(s, model, s.traffic);
    const kind = began ? 'stalled-stream' : 'gpu-hang';
    return { ...s, canary, failure: failureOf(s, kind, model, mono, '') };
  }
  // The caller's faults and a full queue say nothing about the runner.
  if (e.status < 500 || e.status === 503) return { ...s, canary };
  return { ...s, canary, failure: failureOf(s, 'runner-errors', model, mono, e.error) };
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
