// Which models are loaded, who waits for a load, who leaves. One load at a time; a runner serves its requests in order.
import { type Child, ping, startChild } from './child.ts';
import type { Faults } from './faults.ts';
import { type Model, weightsHeader } from './models.ts';
import { type FakeOptions, FOREVER_MS } from './options.ts';

/** A loaded model. Times are Unix ms. */
export type Runner = {
  /** Path of the weights: two names of one blob share a runner. */
  readonly key: string;
  readonly model: Model;
  readonly child: Child;
  readonly numCtx: number;
  readonly numCtxAuto: boolean;
  keepAliveMs: number;
  /** null while it is in its first use: the end is then always now + keepAliveMs. */
  expiresAt: number | null;
  refs: number;
  active: number;
  readonly queue: (() => void)[];
  timer: NodeJS.Timeout | undefined;
};

/** What a request wants of a runner. */
export type Want = {
  readonly model: Model;
  /** As the request spelled it, for the error text. */
  readonly asked: string;
  readonly numCtx: number | undefined;
  readonly keepAliveMs: number | undefined;
  readonly signal: AbortSignal;
};

/** A refusal with the status and text that Ollama gives. */
export class Refused extends Error {
  readonly status: number;
  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

/** The scheduler of one server. */
export interface Scheduler {
  /** Loads if needed. The caller must `release`. Throws `Refused`. */
  acquire(want: Want): Promise<Runner>;
  release(runner: Runner): void;
  /** Waits for one of the runner's slots; gives the function that frees it. */
  slot(runner: Runner, signal: AbortSignal): Promise<() => void>;
  /** Lets the model go when its last request has ended. */
  unload(key: string): void;
  loaded(): readonly Runner[];
  /** Process ids of runners that are loading. */
  loading(): readonly number[];
  /** Settles when no health check of a runner holds the scheduler. */
  unlocked(): Promise<void>;
  /** Kills every runner and waits for their end. */
  close(): Promise<void>;
}

type Job = { readonly want: Want; settle(runner: Runner): void; fail(error: Refused): void };

const BUSY = 'server busy, please try again.  maximum pending requests exceeded';

/** Starts with nothing loaded. */
export function createScheduler(options: FakeOptions, faults: () => Faults): Scheduler {
  const loaded = new Map<string, Runner>();
  const pending: Job[] = [];
  const starting = new Set<Child>();
  let changed = Promise.withResolvers<void>();
  let pings: Promise<unknown> = Promise.resolve();
  let working = false;

  function change(): void {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  }

  function remove(runner: Runner): void {
    clearTimeout(runner.timer);
    runner.child.kill();
    if (loaded.get(runner.key) === runner) loaded.delete(runner.key);
    change();
  }

  function use(runner: Runner, want: Want): Runner {
    runner.refs += 1;
    clearTimeout(runner.timer);
    if (want.keepAliveMs !== undefined) runner.keepAliveMs = want.keepAliveMs;
    return runner;
  }

  function release(runner: Runner): void {
    runner.refs -= 1;
    change();
    if (runner.refs > 0 || loaded.get(runner.key) !== runner) return;
    runner.expiresAt = Date.now() + runner.keepAliveMs;
    if (faults().stuckUnload) return;
    if (runner.keepAliveMs === 0) remove(runner);
    else if (runner.keepAliveMs < FOREVER_MS / 2)
      runner.timer = setTimeout(() => remove(runner), Math.min(runner.keepAliveMs, 2 ** 31 - 1));
  }

  async function fits(runner: Runner, want: Want): Promise<boolean> {
    if (want.numCtx === undefined ? !runner.numCtxAuto : want.numCtx !== runner.numCtx) return false;
    if (want.model.projectors.join() !== runner.model.projectors.join()) return false;
    const asked = ping(runner.child, runner.refs > 0 ? 2 * options.pingMs : options.pingMs);
    pings = Promise.all([pings, asked]);
    return asked;
  }

  async function acquire(want: Want): Promise<Runner> {
    const runner = loaded.get(want.model.weights);
    if (runner !== undefined && (await fits(runner, want)) && loaded.get(runner.key) === runner) return use(runner, want);
    if (pending.length >= options.maxQueue) throw new Refused(503, BUSY);
    const job = Promise.withResolvers<Runner>();
    pending.push({ want, settle: job.resolve, fail: job.reject });
    void work();
    return job.promise;
  }

  async function work(): Promise<void> {
    if (working) return;
    working = true;
    for (let job = pending.shift(); job !== undefined; job = pending.shift()) {
      try {
        job.settle(await serve(job.want));
      } catch (error) {
        job.fail(error instanceof Refused ? error : new Refused(500, String(error)));
      }
    }
    working = false;
  }

  async function serve(want: Want): Promise<Runner> {
    if (want.signal.aborted) throw new Refused(499, 'request canceled');
    const old = loaded.get(want.model.weights);
    if (old !== undefined) {
      if (await fits(old, want)) return use(old, want);
      while (old.refs > 0) await changed.promise;
      remove(old);
    }
    while (loaded.size >= options.maxLoaded) await evict();
    return load(want);
  }

  // The idle runner with the shortest keep-alive goes; if none is idle, wait until something changes.
  async function evict(): Promise<void> {
    const idle = [...loaded.values()].filter((runner) => runner.refs === 0).sort((a, b) => a.keepAliveMs - b.keepAliveMs)[0];
    if (idle === undefined) await changed.promise;
    else remove(idle);
  }

  async function load(want: Want): Promise<Runner> {
    refuseDamage(want);
    const numCtx = want.numCtx ?? options.contextLength;
    const { child, ready } = await startChild({
      model: want.model.weights,
      numCtx,
      loadMs: faults().loadMs ?? options.loadMs,
      orphanMs: options.orphanMs,
    });
    starting.add(child);
    const stop = new AbortController();
    const outcome = await Promise.race([ready, aborted(want.signal, stop.signal), late(options.loadTimeoutMs, stop.signal)]);
    stop.abort();
    starting.delete(child);
    if (outcome === 'ready') {
      const keepAliveMs = want.keepAliveMs ?? options.keepAliveMs;
      const runner: Runner = {
        key: want.model.weights,
        model: want.model,
        child,
        numCtx,
        numCtxAuto: want.numCtx === undefined,
        keepAliveMs,
        expiresAt: null,
        refs: 1,
        active: 0,
        queue: [],
        timer: undefined,
      };
      loaded.set(runner.key, runner);
      change();
      return runner;
    }
    child.kill();
    if (outcome === 'aborted') throw new Refused(499, 'request canceled');
    if (outcome === 'late') throw new Refused(500, 'timed out waiting for llama-server to start - ');
    throw new Refused(500, `llama-server process has terminated: ${outcome.exit}`);
  }

  return {
    acquire,
    release,
    slot: (runner, signal) => takeSlot(runner, options.numParallel, signal),
    unload(key) {
      const runner = loaded.get(key);
      if (runner === undefined || faults().stuckUnload) return;
      runner.keepAliveMs = 0;
      runner.expiresAt = Date.now();
      if (runner.refs === 0) remove(runner);
    },
    loaded: () => [...loaded.values()],
    loading: () => [...starting].map((child) => child.pid),
    unlocked: async () => void (await pings),
    async close() {
      const children = [...loaded.values()].map((runner) => runner.child);
      for (const runner of loaded.values()) clearTimeout(runner.timer);
      for (const child of [...children, ...starting]) child.kill();
      await Promise.all([...children, ...starting].map((child) => child.exited));
    },
  };
}

// What the load would find: files that are gone, or weights that are cut.
function refuseDamage(want: Want): void {
  const gone = new Refused(404, `model "${want.asked}" not found, try pulling it first`);
  const header = weightsHeader(want.model.weights);
  if (header === 'absent') throw gone;
  if (typeof header === 'string') throw new Refused(500, header);
  if (want.model.projectors.some((path) => weightsHeader(path) === 'absent')) throw gone;
}

async function takeSlot(runner: Runner, slots: number, signal: AbortSignal): Promise<() => void> {
  while (runner.active >= slots && !signal.aborted) {
    const turn = Promise.withResolvers<void>();
    runner.queue.push(turn.resolve);
    signal.addEventListener('abort', () => turn.resolve(), { once: true });
    await turn.promise;
    const at = runner.queue.indexOf(turn.resolve);
    if (at >= 0) runner.queue.splice(at, 1);
  }
  runner.active += 1;
  return () => {
    runner.active -= 1;
    runner.queue.shift()?.();
  };
}

function aborted(signal: AbortSignal, stop: AbortSignal): Promise<'aborted'> {
  return new Promise((settle) => {
    if (signal.aborted) settle('aborted');
    signal.addEventListener('abort', () => settle('aborted'), { once: true, signal: stop });
  });
}

function late(ms: number, stop: AbortSignal): Promise<'late'> {
  return new Promise((settle) => {
    const timer = setTimeout(() => settle('late'), Math.min(ms, 2 ** 31 - 1));
    stop.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}
