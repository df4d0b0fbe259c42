// The local Ollama in the composed core: evidence goes through health, and what is loaded here and at the active through the hot set.
import type { HealthInput } from './health/machine.ts';
import { healthWant, stepHealth } from './health/machine.ts';
import type { Evidence } from './health/types.ts';
import { keyOf, loadEnded, stepHot } from './hotset/machine.ts';
import { hotModelsOf } from './hotset/models.ts';
import type { CareWant } from './io.ts';
import { membersOf } from './membership/machine.ts';
import { type CoreState, type Draft, log } from './state.ts';
import type { Now } from './types.ts';
import { displayOf } from './view.ts';

/** The newest want. */
export function careWant(s: Pick<CoreState, 'health' | 'hot'>): CareWant {
  return { ...healthWant(s.health), load: s.hot.order };
}

/** Users talked to this Ollama within this time. */
const USED_MS = 300_000;
const PS_FRESH_MS = 5000;

/** Takes evidence, or the passing of time. */
export function judge(d: Draft, input: HealthInput, now: Now): void {
  if (d.health === null) {
    d.wakes = { ...d.wakes, health: Number.POSITIVE_INFINITY };
    return;
  }
  const before = d.health.remedy;
  const turn = stepHealth(d.health, input.k === 'ps' ? withWeights(d, input) : input, now);
  d.health = turn.state;
  d.wakes = { ...d.wakes, health: turn.wakeAt };
  const { verdict } = turn;
  if (verdict.ollama !== d.verdict.ollama || verdict.kind !== d.verdict.kind) {
    const level = verdict.ollama === 'up' ? 'info' : 'warn';
    log(d, level, `ollama_${verdict.ollama}`, `ollama is ${verdict.ollama}: ${verdict.reason}`, { kind: verdict.kind });
  }
  d.verdict = verdict;
  const order = turn.state.remedy;
  if (order !== null && order.id !== before?.id)
    log(d, 'warn', 'remedy', `remedy ${order.k}: ${order.why}`, { id: order.id, remedy: order.k });
  if (input.k === 'remedied') log(d, input.ok ? 'info' : 'warn', 'remedied', input.text, { id: input.id });
  if (input.k === 'load') takeLoad(d, input, now);
  if (input.k === 'ps' || input.k === 'load') keepHot(d, now);
}

function takeLoad(d: Draft, load: Extract<Evidence, { k: 'load' }>, now: Now): void {
  if (load.state === 'started') return;
  d.hot = loadEnded(d.hot, load.model, load.error, now.mono);
  if (load.state === 'failed') log(d, 'warn', 'hot_load_failed', `${load.model} could not be loaded: ${load.error}`);
  else log(d, 'info', 'hot_loaded', `${load.model} is loaded after ${Math.round(load.ms)} ms`);
}

/** Brings the hot set forward, with each look at what is loaded here. */
function keepHot(d: Draft, now: Now): void {
  const { hotSet } = d.config;
  if (d.health === null || hotSet === undefined) return;
  const { health } = d;
  const ready = d.verdict.ollama === 'up' || d.verdict.ollama === 'degraded';
  d.hot = stepHot(
    d.hot,
    hotSet,
    {
      acting: d.leaseDesired.acting,
      ready: ready && !d.stopping && health.ps !== null && now.mono - health.ps.at < PS_FRESH_MS,
      active: membersOf(d.membership).find((m) => m.node === d.holder.node)?.frame?.view.loaded ?? null,
      own: hotModelsOf(health.loaded),
      lost: health.lost,
      store: (d.own?.models ?? []).flatMap((m) =>
        m.complete && m.weights !== '' ? [{ name: displayOf(m.path), weights: keyOf(m.weights), sizeBytes: m.sizeBytes }] : [],
      ),
      freeBytes: freeBytes(d),
      used: now.mono - health.usedAt < USED_MS,
    },
    now.mono,
  );
}

function freeBytes({ health }: Draft): number | null {
  if (health?.gpu != null && health.gpu.error === '') return Math.max(0, health.gpu.totalBytes - health.gpu.usedBytes);
  return health?.memory?.availableBytes ?? null;
}

/** /api/ps names manifests; runners are found by their weights. */
function withWeights(d: Draft, ps: Extract<Evidence, { k: 'ps' }>): Extract<Evidence, { k: 'ps' }> {
  const known = new Map(d.own?.models.map((m) => [m.manifestDigest, m.weights]));
  const loaded = ps.loaded.map((m) => {
    const weights = known.get(m.digest);
    return weights === undefined || weights === '' ? m : { ...m, weights };
  });
  return { ...ps, loaded };
}
