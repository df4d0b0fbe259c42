// What the rows of rules.ts ask of the facts: loops of deaths, loads that nothing works on, a lost graphics card, models that are not there.
import { ORPHAN_LOOKS } from './learn-runners.ts';
import { type HealthState, isLoading, nameOfRunner } from './state.ts';
import { percent, seconds } from './words.ts';

/** Silence still counts as starting. */
export function inWindow(s: HealthState, mono: number): boolean {
  return s.windowAt !== -Infinity && mono - s.windowAt < s.config.startMs;
}

/** How many of these deaths lie within the window. */
export function recent(times: readonly number[], s: HealthState, mono: number): number {
  return times.filter((at) => mono - at < s.limits.crash.windowMs).length;
}

/** The last death decides how long it is not believed; how many came before decides whether it is a loop. */
export function isCrashing(times: readonly number[], s: HealthState, mono: number): boolean {
  return recent(times, s, mono) >= s.limits.crash.count && mono - (times.at(-1) ?? -Infinity) < s.limits.crash.holdMs;
}

/** What waits for a load that nothing works on; null = nothing. A load that goes on, or users' tokens that an eviction waits for, are busy. */
export function stuckLoad(s: HealthState, mono: number): string | null {
  if (s.runnersAt === -Infinity || isLoading(s) || s.failure !== null) return null;
  const t = s.traffic !== null && mono - s.traffic.at < TRAFFIC_MS ? s.traffic : null;
  const flows = mono - s.movedAt < s.limits.loadStuckMs || (t !== null && t.prompting > 0);
  if (flows) return null;
  if (s.load !== null && mono - s.load.at >= s.limits.loadStuckMs)
    return `the load of ${s.load.model} has waited ${seconds(mono - s.load.at)}`;
  const { firstTokenMs } = s.limits.progress;
  // Every loaded model must be accounted for: a runner of another kind works unseen.
  const known = s.loaded.every((m) => s.runners.some((r) => r.weights === m.weights));
  if (t !== null && known && t.waiting > 0 && t.waitingMs >= firstTokenMs)
    return `a request has waited ${seconds(t.waitingMs)} for its first byte`;
  return null;
}

const TRAFFIC_MS = 10_000;

/** Why the graphics card counts as lost; null = it does not. */
export function lostCard(s: HealthState): string | null {
  if (s.gpu !== null && s.gpu.bad >= s.limits.gpu.failures) return s.gpu.error;
  for (const m of s.loaded) {
    const usual = s.shares.get(m.digest) ?? 0;
    if (m.sizeBytes === 0 || usual === 0) continue;
    const share = m.vramBytes / m.sizeBytes;
    if (share < usual * s.limits.gpu.share)
      return `${m.name} has ${percent(share)} of its weights in graphics memory, ${percent(usual)} before`;
  }
  return null;
}

/** Loaded models whose runner process is gone. */
export function orphanNames(s: HealthState): string[] {
  return s.loaded.filter((m) => m.weights !== undefined && (s.orphans.get(m.weights) ?? 0) >= ORPHAN_LOOKS).map((m) => m.name);
}

/** `llama3.2` in a configuration means `llama3.2:latest` in a listing; names compare without case, as Ollama does. */
export function missing(s: HealthState): readonly string[] {
  const listed = new Set((s.tags?.names ?? []).map((name) => name.toLowerCase()));
  return s.config.required.filter((name) => !listed.has(withTag(name).toLowerCase()));
}

function withTag(name: string): string {
  return name.lastIndexOf(':') > name.lastIndexOf('/') ? name : `${name}:latest`;
}

/** How long the failed proof stands. */
export function since(s: HealthState, mono: number): string {
  return seconds(mono - (s.failure?.since ?? mono));
}

/** Slow tokens in a row until that is believed. */
export const SLOW_TIMES = 3;

/** A model that should have left memory and that nobody uses; null = none. */
export function overdueName(s: HealthState, mono: number): string | null {
  const [digest] = [...s.overdue].find(([, at]) => mono - at >= s.limits.stuckUnloadMs) ?? [];
  return s.loaded.find((m) => m.digest === digest)?.name ?? null;
}

/** A model of which a smaller part than usual lies in graphics memory, and not yet so little that the card counts as lost. */
export function shortOfMemory(s: HealthState): string | null {
  for (const m of s.loaded) {
    const usual = s.shares.get(m.digest) ?? 0;
    if (m.sizeBytes === 0 || m.vramBytes / m.sizeBytes >= usual - SHARE_NOISE) continue;
    return `${m.name} has ${percent(m.vramBytes / m.sizeBytes)} of its weights in graphics memory, ${percent(usual)} before`;
  }
  return null;
}

const SHARE_NOISE = 0.02;

/** The model that is loaded again and again, and how often; null = none is. */
export function thrashed(s: HealthState, mono: number): { readonly name: string; readonly times: number } | null {
  const times = new Map<string, number>();
  const { windowMs, holdMs } = s.limits.crash;
  const now = s.starts.filter((start) => mono - start.at < windowMs);
  for (const { weights } of now) times.set(weights, (times.get(weights) ?? 0) + 1);
  const [worst] = [...times].sort((a, b) => b[1] - a[1]);
  if (worst === undefined || worst[1] < s.limits.reloads) return null;
  const last = now.findLast((start) => start.weights === worst[0])?.at ?? -Infinity;
  if (mono - last >= holdMs) return null;
  return { name: s.loaded.find((m) => m.weights === worst[0])?.name ?? 'one model', times: worst[1] };
}

/** A load that goes on for long; null = none does. */
export function slowLoad(s: HealthState, mono: number): string | null {
  const loading = s.runners.find((r) => mono - r.loadingAt >= s.limits.slowLoadMs);
  if (loading === undefined) return null;
  return `the load of ${s.load?.model ?? nameOfRunner(s, loading)} goes on for ${seconds(mono - loading.loadingAt)}`;
}
