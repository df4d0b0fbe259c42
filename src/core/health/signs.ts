// What the rows of rules.ts ask of the facts: loops of deaths, loads that nothing works on, a lost graphics card, models that are not there.
import { ORPHAN_LOOKS } from './learn-runners.ts';
import { type HealthState, isLoading } from './state.ts';
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
