// One worker thread of a campaign: runs the seeds it is told to, with the agents of the given copy of the core.
import { parentPort, workerData } from 'node:worker_threads';
import { type AgentKind, castOf, kindOf } from './agents.ts';
import { type Filter, optionsOf } from './plan.ts';
import { runSeed } from './run.ts';
import { addRun, emptyTally, type Tally } from './tally.ts';

/** What a worker is started with. */
export type WorkerSetup = { readonly core: string; readonly kind: AgentKind | 'mix'; readonly filter: Filter };

/** A stretch of seeds to run. */
export type Task = { readonly first: number; readonly count: number };

/** What a task brought. */
export type TaskDone = { readonly tally: Tally };

const port = parentPort;
if (port === null) throw new Error('this file is the body of a worker thread');
const { core, kind, filter } = workerData as WorkerSetup;
const casts = { lease: await castOf('lease', core), core: await castOf('core', core) };

port.on('message', ({ first, count }: Task) => {
  const tally = emptyTally();
  for (let seed = first; seed < first + count; seed++) {
    const options = optionsOf(seed, filter);
    addRun(tally, options, runSeed(options, casts[kindOf(kind, seed)]));
  }
  const done: TaskDone = { tally };
  port.postMessage(done);
});
