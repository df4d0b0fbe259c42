// Brings the store level with the plan, level triggered: whoever calls `apply` says what is wanted now, and the models under way follow.
// A model that cannot be had is tried again with growing pauses, and says why it waits; the others go on meanwhile.
import type { FetchBlobAhead, FetchModel, ModelPath, ReplicationPlan, Sha256 } from '../core/replication/types.ts';
import type { LoadedPort, ReplicatorPort, Sink, TransferProgress } from './ports.ts';
import { type AheadRow, createAhead } from './replicator-ahead.ts';
import { openBlobLine } from './replicator-blobs.ts';
import { bringModel, type ModelTools, type Tally } from './replicator-model.ts';
import type { FetchBlob, FetchManifest, Pause, ReplicatorLog, ReplicatorStore } from './replicator-ports.ts';
import { createSwap } from './replicator-swap.ts';

/** What the replicator is made of. */
export type ReplicatorOptions = {
  readonly store: ReplicatorStore;
  readonly fetchBlob: FetchBlob;
  readonly fetchManifest: FetchManifest;
  /** The local Ollama, for tags whose model is loaded; null or absent: nothing is loaded here. */
  readonly loaded?: LoadedPort | null;
  readonly sink: Sink;
  readonly log: ReplicatorLog;
  /** Blobs, and models, at the same time. */
  readonly concurrency: number;
  /** Monotonic clock, ms. */
  readonly monoMs: () => number;
  readonly pause: Pause;
};

type Job = {
  order: FetchModel;
  readonly stop: AbortController;
  readonly tally: Tally;
  readonly rate: Rate;
  /** Resting: not counted against the concurrency. `settled` = done, its plan not renewed yet. */
  rest: 'none' | 'retry' | 'settled';
  /** Ends the present rest. */
  wake: AbortController;
  ended: Promise<void>;
};

type Rate = { atMs: number; bytes: number; bytesPerSecond: number };

const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 60_000;
/** A plan made before the inventory showed the model may still want it. */
const SETTLE_MS = 2000;
const RATE_MS = 1000;
const NOTHING_AHEAD: readonly FetchBlobAhead[] = [];

/** Starts reporting the inventory at once; fetches nothing before the first plan. */
export function createReplicator(options: ReplicatorOptions): ReplicatorPort & { readonly retryNow: () => void } {
  const { store, fetchBlob, concurrency, pause, log, monoMs } = options;
  const line = openBlobLine({ store, fetchBlob, concurrency, pause, log });
  let digests: ReadonlyMap<ModelPath, Sha256> = new Map();
  const ahead = createAhead({ line, largeAtOnce: Math.max(1, concurrency - 1), pause, log });
  const swap = createSwap({ loaded: options.loaded ?? null, digestHere: (path) => digests.get(path) ?? null, log });
  const tools: ModelTools = { store, line, fetchManifest: options.fetchManifest, swap };
  const jobs = new Map<ModelPath, Job>();
  let wanted: readonly FetchModel[] = [];
  let closed = false;
  store.onInventory((inventory) => {
    digests = new Map(inventory.models.map((model) => [model.path, model.manifestDigest]));
    options.sink({ k: 'inventory', inventory });
  });

  function pump(): void {
    let running = [...jobs.values()].filter((job) => job.rest === 'none').length;
    for (const order of wanted) {
      if (closed || running >= concurrency) return;
      if (jobs.has(order.path)) continue;
      start(order);
      running += 1;
    }
  }

  function start(order: FetchModel): void {
    const tally: Tally = { phase: 'manifest', from: order.from, note: '', totalBytes: 0, doneBytes: 0, receivedBytes: 0 };
    const rate = { atMs: monoMs(), bytes: 0, bytesPerSecond: 0 };
    const job: Job = {
      order,
      stop: new AbortController(),
      tally,
      rate,
      rest: 'none',
      wake: new AbortController(),
      ended: Promise.resolve(),
    };
    jobs.set(order.path, job);
    job.ended = untilDone(job).then(() => {
      jobs.delete(order.path);
      pump();
    });
  }

  /** Never rejects. */
  async function untilDone(job: Job): Promise<void> {
    const { signal } = job.stop;
    for (let retryMs = RETRY_FIRST_MS; !signal.aborted; retryMs = Math.min(2 * retryMs, RETRY_MAX_MS)) {
      const reason = await attempt(job);
      if (signal.aborted) return;
      job.rest = reason === null ? 'settled' : 'retry';
      if (reason !== null) waitAndSay(job, reason, retryMs);
      pump();
      job.wake = new AbortController();
      await pause(reason === null ? SETTLE_MS : retryMs, AbortSignal.any([signal, job.wake.signal])).catch(() => undefined);
      if (reason === null) return;
      job.rest = 'none';
    }
  }

  /** Null = the model is here. */
  async function attempt(job: Job): Promise<string | null> {
    const { order, tally, stop } = job;
    const startedMs = monoMs();
    tally.note = '';
    try {
      const result = await bringModel(tools, order, tally, stop.signal);
      if (result.k === 'failed') return result.reason;
      const ms = Math.round(monoMs() - startedMs);
      const fields = { path: order.path, digest: order.manifestDigest, bytes: tally.receivedBytes, ms };
      log('info', 'replication_done', `${order.path} is here, ${tally.receivedBytes} bytes received`, fields);
      return null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  function waitAndSay({ order, tally }: Job, reason: string, retryMs: number): void {
    tally.phase = 'waiting';
    tally.note = `${reason}; next try in ${Math.round(retryMs / 1000)} s`;
    log('warn', 'replication_failed', `${order.path}: ${tally.note}`, { path: order.path, from: order.from });
  }

  function apply(plan: ReplicationPlan | null): void {
    if (closed) return;
    const fetch = plan?.fetch ?? [];
    // With one place only, a model that has its name goes first.
    ahead.apply(fetch.length > 0 && concurrency === 1 ? NOTHING_AHEAD : (plan?.ahead ?? NOTHING_AHEAD), fetch.length > 0);
    if (fetch === wanted) return;
    wanted = fetch;
    const byPath = new Map(fetch.map((order) => [order.path, order]));
    for (const job of jobs.values()) {
      const order = byPath.get(job.order.path);
      if (order?.manifestDigest === job.order.manifestDigest) job.order = order;
      else job.stop.abort();
    }
    pump();
  }

  return {
    apply,
    retryNow: () => {
      for (const job of jobs.values()) if (job.rest === 'retry') job.wake.abort();
    },
    progress: () => [
      ...[...jobs.values()].filter((job) => job.rest !== 'settled').map((job) => progressOf(job, monoMs())),
      ...ahead.rows().map(progressAhead),
    ],
    close: async () => {
      closed = true;
      for (const job of jobs.values()) job.stop.abort();
      await Promise.all([...[...jobs.values()].map((job) => job.ended), ahead.close()]);
    },
  };
}

function progressAhead({ digest, totalBytes, doneBytes, from, note }: AheadRow): TransferProgress {
  const path = `blob ${digest.slice(0, 12)}`;
  const why = note === '' ? 'its model is still being downloaded by the active' : note;
  return { path, from, doneBytes, totalBytes, bytesPerSecond: 0, phase: note === '' ? 'blobs' : 'waiting', note: why };
}

function progressOf(job: Job, nowMs: number): TransferProgress {
  const { order, tally, rate } = job;
  const elapsedMs = nowMs - rate.atMs;
  if (elapsedMs >= RATE_MS) {
    rate.bytesPerSecond = ((tally.receivedBytes - rate.bytes) * 1000) / elapsedMs;
    rate.bytes = tally.receivedBytes;
    rate.atMs = nowMs;
  }
  const { from, doneBytes, totalBytes, phase, note } = tally;
  return { path: order.path, from, doneBytes, totalBytes, bytesPerSecond: Math.round(rate.bytesPerSecond), phase, note };
}
