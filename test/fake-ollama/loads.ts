// One load: what refuses it before a process starts, the process, and how it ends.
import { type Child, startChild } from './child.ts';
import type { Faults } from './faults.ts';
import { trainedContext, weightsHeader } from './models.ts';
import type { FakeOptions } from './options.ts';
import { Refused, type Want } from './scheduler.ts';
import { aborted, late } from './waits.ts';

/** Where models run: how much of one is on the device, and how much slower its tokens come. */
export type Place = { readonly sizeVram: number; readonly slowness: number };

/** How many times slower than the device the CPU is. */
const CPU_SLOWNESS = 20;

/** Texts that Ollama takes for a lack of memory. */
const OUT_OF_MEMORY = /out of memory|out of device memory|cudaMalloc failed|hipMalloc failed|failed to allocate|insufficient memory/i;

/** Whether a refusal says that the memory did not suffice. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof Refused && OUT_OF_MEMORY.test(error.message);
}

/** The context a load gets: what is asked, but not more than the model was trained for. */
export function contextOf(want: Want, contextLength: number): number {
  const asked = want.numCtx ?? contextLength;
  const trained = trainedContext(want.model.weights);
  return trained === undefined ? asked : Math.min(asked, trained);
}

/** Where a model of this size runs when so much of the device is free. */
export function placeOf(sizeBytes: number, freeBytes: number, faults: Faults): Place {
  if (faults.gpuLost) return { sizeVram: 0, slowness: CPU_SLOWNESS };
  return { sizeVram: Math.max(0, Math.min(sizeBytes, freeBytes)), slowness: 1 };
}

/** What the load would find: files that are gone, or weights that are cut. Throws `Refused`. */
export function refuseDamage(want: Want): void {
  const gone = new Refused(404, `model "${want.asked}" not found, try pulling it first`);
  const header = weightsHeader(want.model.weights);
  if (header === 'absent') throw gone;
  if (typeof header === 'string') throw new Refused(500, header);
  if (want.model.projectors.some((path) => weightsHeader(path) === 'absent')) throw gone;
}

/** Starts a runner and waits until it is ready. `starting` holds it meanwhile. Throws `Refused`. */
export async function loadChild(
  want: Want,
  numCtx: number,
  options: FakeOptions,
  faults: Faults,
  fails: string | null,
  starting: Set<Child>,
): Promise<Child> {
  const { child, ready } = await startChild({
    model: want.model.weights,
    numCtx,
    loadMs: faults.loadMs ?? options.loadMs,
    orphanMs: options.orphanMs,
    failsLoad: fails !== null,
  });
  starting.add(child);
  const stop = new AbortController();
  const outcome = await Promise.race([
    ready,
    aborted(want.signal, stop.signal),
    late(faults.loadTimeoutMs ?? options.loadTimeoutMs, stop.signal),
  ]);
  stop.abort();
  starting.delete(child);
  if (outcome === 'ready') return child;
  child.kill();
  if (outcome === 'aborted') throw new Refused(499, 'request canceled');
  if (outcome === 'late') throw new Refused(500, 'timed out waiting for llama-server to start - ');
  if (fails !== null && OUT_OF_MEMORY.test(fails)) throw new Refused(500, `llama-server reported out-of-memory during startup: ${fails}`);
  throw new Refused(500, `llama-server process has terminated: ${outcome.exit}${fails === null ? '' : `: ${fails}`}`);
}
