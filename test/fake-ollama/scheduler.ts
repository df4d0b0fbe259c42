// Which models are loaded, who waits for a load, who leaves. One load at a time; a runner serves its requests in order.
//
// The waits are those of the real server, its deadlocks included. Room for a load is made by marking one model to leave (its keep-alive
// becomes 0) and waiting until any model has left. A request for the marked model that carries keep_alive takes the mark away: then nobody
// leaves, and every load waits until somebody unloads a model by hand.
import { type Child, ping } from './child.ts';
import type { Faults } from './faults.ts';
import { contextOf, isOutOfMemory, loadChild, placeOf, refuseDamage } from './loads.ts';
import type { Model } from './models.ts';
import { type FakeOptions, FOREVER_MS } from './options.ts';
import { takeSlot } from './waits.ts';

/** A loaded model. Times are Unix ms. */
export type Runner = {
  /** Path of the weights: two names of one blob share a runner. */
  readonly key: string;
  readonly model: Model;
  readonly child: Child;
  readonly numCtx: number;
  readonly numCtxAuto: boolean;
  /** The other options that a runner is started with, as text; a request that wants others reloads. */
  readonly runnerOptions: string;
  /** Bytes on the device. */
  readonly sizeVram: number;
  /** Factor on the pause between tokens. */
  readonly slowness: number;
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
  readonly runnerOptions: string;
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
  /** Lets the model go when its last request has ended. A model that is loading stays: the wish is lost. */
  unload(key: string): void;
  /** Lets every model go, as after a lack of memory while one runs. */
  expireAll(): void;
  loaded(): readonly Runner[];
  /** Process ids of runners that are loading. */
  loading(): readonly number[];
  /** Requests that wait for a load. */
  waiting(): number;
  /** Settles when no health check and no unload of a runner holds the scheduler. */
  unlocked(): Promise<void>;
  /** Tells that faults have changed. */
  faultsChanged(): void;
  /** Kills every runner and waits for their end. */
  close(): Promise<void>;
}

type Job = { readonly want: Want; settle(runner: Runner): void; fail(error: Refused): void };

const BUSY = 'server busy, please try again.  maximum pending requests exceeded';
/** A load that may take more of the free memory than this makes others leave first. */
const MEMORY_SHARE = 0.8;

/** Starts with nothing loaded. `useFault` takes one of the limited uses of a fault. */
export function createScheduler(options: FakeOptions, faults: () => Faults, useFault: () => boolean): Scheduler {
  const loaded = new Map<string, Runner>();
  const pending: Job[] = [];
  const starting = new Set<Child>();
  const zombies = new Set<Child>();
  let changed = Promise.withResolvers<void>();
  let left = Promise.withResolvers<void>();
  let locks: Promise<unknown> = Promise.resolve();
  let working = false;
  let wasWedged = faults().wedge;

  function change(): void {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  }

  function leave(): void {
    left.resolve();
    left = Promise.withResolvers<void>();
    change();
  }

  function remove(runner: Runner): void {
    clearTimeout(runner.timer);
    if (loaded.get(runner.key) !== runner) return;
    if (faults().zombies) zombies.add(runner.child);
    else runner.child.kill();
    const waitMs = faults().unloadMs;
    const gone = () => {
      if (loaded.get(runner.key) === runner) loaded.delete(runner.key);
      leave();
    };
    if (waitMs === 0) gone();
    else locks = Promise.all([locks, new Promise<void>((settle) => setTimeout(settle, waitMs)).then(gone)]);
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

  // Marks a model to leave; an idle one goes at once.
  function expire(runner: Runner): void {
    runner.keepAliveMs = 0;
    runner.expiresAt = Date.now();
    if (runner.refs === 0 && !faults().stuckUnload) remove(runner);
  }

  async function fits(runner: Runner, want: Want): Promise<boolean> {
    const numCtx = want.numCtx === undefined ? undefined : contextOf(want, options.contextLength);
    if (numCtx === undefined ? !runner.numCtxAuto : numCtx !== runner.numCtx) return false;
    if (want.runnerOptions !== runner.runnerOptions) return false;
    if (want.model.projectors.join() !== runner.model.projectors.join()) return false;
    const asked = ping(runner.child, runner.refs > 0 ? 2 * options.pingMs : options.pingMs);
    locks = Promise.all([locks, asked]);
    return asked;
  }

  function isStuck(runner: Runner): boolean {
    return faults().stuckUnload && loaded.get(runner.key) === runner && runner.keepAliveMs === 0 && runner.refs === 0;
  }

  async function acquire(want: Want): Promise<Runner> {
    const runner = loaded.get(want.model.weights);
    // Accepted, and without a byte for as long as the model does not leave.
    while (runner !== undefined && isStuck(runner) && !want.signal.aborted) await changed.promise;
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
      while (loaded.get(old.key) === old) await changed.promise;
    }
    if (faults().wedge && loaded.size > 0) await left.promise;
    while (!hasRoom(want)) await makeRoom();
    if (want.signal.aborted) throw new Refused(499, 'request canceled');
    refuseDamage(want);
    return loadOrEvict(want);
  }

  function freeBytes(): number {
    const used = [...loaded.values()].reduce((sum, runner) => sum + runner.sizeVram, 0);
    return (faults().vramBytes ?? options.vramBytes) - used;
  }

  function hasRoom(want: Want): boolean {
    if (loaded.size === 0) return true;
    return loaded.size < options.maxLoaded && want.model.stored.sizeBytes <= MEMORY_SHARE * freeBytes();
  }

  // The idle model with the shortest keep-alive goes, else the busy one; then it takes whoever leaves first.
  async function makeRoom(): Promise<void> {
    const all = [...loaded.values()].sort((a, b) => a.keepAliveMs - b.keepAliveMs);
    const leaving = left.promise;
    const victim = all.find((runner) => runner.refs === 0) ?? all[0];
    if (victim !== undefined) expire(victim);
    await leaving;
  }

  // A lack of memory during a load costs all others their place, and is tried once more.
  async function loadOrEvict(want: Want): Promise<Runner> {
    const others = loaded.size;
    try {
      return await load(want, want.numCtx === undefined ? 1 : 0);
    } catch (error) {
      if (!isOutOfMemory(error) || (others === 0 && want.numCtx !== undefined)) throw error;
      for (const runner of loaded.values()) expire(runner);
      while (loaded.size > 0) await left.promise;
      return load(want, want.numCtx === undefined ? 2 : 0);
    }
  }

  /** `share` divides an automatic context; 0 = the context was asked for. */
  async function load(want: Want, share: number): Promise<Runner> {
    const whole = contextOf(want, options.contextLength);
    const numCtx = share > 1 ? Math.floor(whole / share) : whole;
    const now = faults();
    if (now.loadRefusal !== null && useFault()) throw new Refused(now.loadRefusal.status, now.loadRefusal.error);
    const fails = now.loadError !== null && useFault() ? now.loadError : null;
    const place = placeOf(want.model.stored.sizeBytes, freeBytes(), now);
    const child = await loadChild(want, numCtx, options, now, fails, starting);
    const runner: Runner = {
      key: want.model.weights,
      model: want.model,
      child,
      numCtx,
      numCtxAuto: want.numCtx === undefined,
      runnerOptions: want.runnerOptions,
      ...place,
      keepAliveMs: want.keepAliveMs ?? options.keepAliveMs,
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

  return {
    acquire,
    release,
    slot: (runner, signal) => takeSlot(runner, runner.model.capabilities.includes('embedding') ? 1 : options.numParallel, signal),
    unload(key) {
      const runner = loaded.get(key);
      if (runner !== undefined) expire(runner);
    },
    expireAll() {
      for (const runner of loaded.values()) expire(runner);
    },
    loaded: () => [...loaded.values()],
    loading: () => [...starting].map((child) => child.pid),
    waiting: () => pending.length,
    unlocked: async () => void (await locks),
    faultsChanged() {
      if (wasWedged && !faults().wedge) leave();
      wasWedged = faults().wedge;
      if (!faults().zombies) for (const child of zombies) child.kill();
      change();
      if (faults().stuckUnload) return;
      for (const runner of loaded.values()) if (runner.keepAliveMs === 0 && runner.refs === 0) remove(runner);
    },
    async close() {
      const children = [...loaded.values()].map((runner) => runner.child);
      for (const runner of loaded.values()) clearTimeout(runner.timer);
      const all = [...children, ...starting, ...zombies];
      for (const child of all) child.kill();
      await Promise.all(all.map((child) => child.exited));
    },
  };
}
