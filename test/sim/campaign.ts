// Many seeds on all processor cores.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { AgentKind } from './agents.ts';
import type { Filter } from './plan.ts';
import { addTally, emptyTally, type Tally } from './tally.ts';
import type { Task, TaskDone, WorkerSetup } from './worker.ts';

/** What to run. */
export type Campaign = {
  readonly core: string;
  readonly kind: AgentKind | 'mix';
  readonly filter: Filter;
  readonly first: number;
  readonly seeds: number;
  /** Stop at this many failures. */
  readonly failuresMax: number;
  /** Seeds a worker gets at a time. */
  readonly chunk: number;
  /** Called after every chunk. */
  readonly progress?: (tally: Tally) => void;
};

// Turns leave a lot of short-lived values: in a larger nursery far fewer of them are alive when it is swept.
const YOUNG_MB = 64;

/** Runs a campaign to its end, or until enough has failed. Rejects when a worker dies, which is a bug of the simulator. */
export async function runCampaign(campaign: Campaign): Promise<Tally> {
  const { core, kind, filter, seeds, chunk } = campaign;
  const setup: WorkerSetup = { core, kind, filter };
  const tally = emptyTally();
  let next = 0;
  const take = (): Task | null => {
    if (next >= seeds || tally.failures.length >= campaign.failuresMax) return null;
    const count = Math.min(chunk, seeds - next);
    const first = campaign.first + next;
    next += count;
    return { first, count };
  };
  const threads = Math.max(1, Math.min(availableParallelism(), Math.ceil(seeds / chunk)));
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: setup,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    try {
      for (let task = take(); task !== null; task = take()) {
        const { tally: more } = await ask(worker, task);
        addTally(tally, more);
        campaign.progress?.(tally);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: threads }, work));
  return tally;
}

function ask(worker: Worker, task: Task): Promise<TaskDone> {
  const { promise, resolve, reject } = Promise.withResolvers<TaskDone>();
  const settle = (finish: () => void) => {
    worker.off('message', onMessage);
    worker.off('error', onError);
    finish();
  };
  const onMessage = (done: TaskDone) => settle(() => resolve(done));
  const onError = (error: unknown) => settle(() => reject(error instanceof Error ? error : new Error(String(error))));
  worker.on('message', onMessage);
  worker.on('error', onError);
  worker.postMessage(task);
  return promise;
}
