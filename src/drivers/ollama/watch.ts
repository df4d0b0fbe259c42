// What is looked at behind HTTP, each kind at its own pace: runner processes, bytes on connections, the serving process, the host's means.
// An idle node without a loaded model costs next to nothing: then no program is run, and /proc is scanned once a minute.
import type { Evidence, LoadedModel } from '../../core/health/types.ts';
import { lookAtCards, lookAtDisk, lookAtMemory } from './host.ts';
import type { OwnPorts } from './own-ports.ts';
import { repeat } from './repeat.ts';
import { createRunnerWatch, processStat } from './runners.ts';
import { createTrafficWatch } from './traffic.ts';

/** Paces, ms, and where to look. */
export type WatchOptions = {
  /** The model store. */
  readonly store: string;
  readonly runnerMs: number;
  readonly runnerTimeoutMs: number;
  readonly trafficMs: number;
  readonly hostMs: number;
  readonly gpuMs: number;
  /** Prints used and whole memory of each NVIDIA card in MiB. */
  readonly gpuCommand: readonly string[];
};

type Rest = {
  readonly port: number;
  readonly own: OwnPorts;
  readonly timeoutMs: number;
  readonly tell: (evidence: Evidence) => void;
};

/** All of /proc is read again after this long at the latest, while something is loaded. */
const SCAN_MS = 15_000;
/** And while nothing is: a runner that a killed Ollama left behind holds its memory all the same. */
const EMPTY_SCAN_MS = 60_000;
/** Slower looks without users: with something loaded, and with nothing. */
const IDLE_FACTOR = 2;
const EMPTY_FACTOR = 4;
/** After a change of the list runners come and go for a moment. */
const RESTLESS_MS = 6000;

/** Looks until stopped. `loaded` tells what /api/ps listed last. */
export function watchBehind(
  options: WatchOptions,
  { port, own, tell }: Rest,
): { loaded(models: readonly LoadedModel[]): void; stop(): void } {
  const runners = createRunnerWatch(`${options.store.replace(/\/+$/, '')}/blobs`);
  const traffic = createTrafficWatch(port, () => own);
  let key = '';
  let count = 0;
  let scannedAt = -Infinity;
  let changedAt = -Infinity;
  let waiting = false;
  let hadCard = false;

  async function lookAtRunners(): Promise<undefined> {
    const now = performance.now();
    const restless = now - changedAt < RESTLESS_MS || waiting;
    const due = restless || now - scannedAt >= (count > 0 ? SCAN_MS : EMPTY_SCAN_MS);
    // A runner that is gone, or one more: the known ones alone tell the first, a scan the second.
    const full = due || (count > 0 && runners.known().length < count);
    if (!full && count === 0 && runners.known().length === 0) return;
    if (full) scannedAt = now;
    tell({ k: 'runners', runners: await runners.look(full, options.runnerTimeoutMs) });
  }

  async function lookAtTraffic(): Promise<number | undefined> {
    const seen = await traffic.look(runners.known().map((r) => r.port));
    if (seen === null) return undefined;
    waiting = seen.waiting > 0;
    tell({ k: 'traffic', ...seen });
    // The kernel keeps the ages: who comes meanwhile is seen with his whole silence.
    return seen.users > 0 ? undefined : options.trafficMs * (count > 0 ? IDLE_FACTOR : EMPTY_FACTOR);
  }

  async function lookAtHost(): Promise<undefined> {
    const parent = runners.known().find((r) => r.parent > 1)?.parent;
    const stat = parent === undefined ? null : processStat(parent);
    if (parent !== undefined && stat !== null) tell({ k: 'process', pid: parent, startedAt: stat.startedAt, state: stat.state });
    for (const seen of [await lookAtDisk(options.store), await lookAtMemory()]) if (seen !== null) tell(seen);
  }

  async function lookAtGpu(): Promise<undefined> {
    const seen = await lookAtCards(options.gpuCommand);
    if (seen !== null) tell(seen);
    // A card whose device vanished is lost, too.
    else if (hadCard) tell({ k: 'gpu', error: 'the card is gone', usedBytes: 0, totalBytes: 0 });
    hadCard ||= seen !== null;
  }

  const questions = [
    repeat(options.runnerMs, lookAtRunners),
    repeat(options.trafficMs, lookAtTraffic),
    repeat(options.hostMs, lookAtHost),
    repeat(options.gpuMs, lookAtGpu),
  ];
  return {
    loaded(models) {
      const next = models.map((m) => m.digest).join();
      count = models.length;
      if (next !== key) changedAt = performance.now();
      key = next;
    },
    stop() {
      for (const question of questions) question.stop();
    },
  };
}
