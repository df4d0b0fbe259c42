// Carries out orders to remove models: never one that is loaded here. A loaded one is unloaded by name first; while the local Ollama does not
// say what is loaded, nothing is removed.
import { displayName } from '../core/replication/names.ts';
import type { ModelPath, RemoveModel } from '../core/replication/types.ts';
import type { LoadedPort, RemoverPort } from './ports.ts';
import type { Pause, RemoverStore, ReplicatorLog } from './replicator-ports.ts';

/** What the remover is made of. */
export type RemoverOptions = {
  readonly store: RemoverStore;
  readonly loaded: LoadedPort;
  readonly log: ReplicatorLog;
  readonly pause: Pause;
};

const RETRY_MS = 30_000;

/** One removal at a time, in the order given. */
export function createRemover(options: RemoverOptions): RemoverPort {
  const { store, loaded, log, pause } = options;
  const jobs = new Map<ModelPath, { readonly order: RemoveModel; readonly stop: AbortController; ended: Promise<void> }>();
  let wanted: readonly RemoveModel[] = [];
  let line: Promise<unknown> = Promise.resolve();
  let closed = false;

  function start(order: RemoveModel): void {
    const stop = new AbortController();
    const job = { order, stop, ended: Promise.resolve() };
    jobs.set(order.path, job);
    job.ended = untilDone(order, stop.signal).finally(() => {
      if (jobs.get(order.path) === job) jobs.delete(order.path);
    });
  }

  async function untilDone(order: RemoveModel, signal: AbortSignal): Promise<void> {
    let told = '';
    while (!signal.aborted) {
      const turn = line.then(() => (signal.aborted ? null : attempt(order, signal)));
      line = turn.catch(() => undefined);
      const trouble = await turn.catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
      if (trouble !== null && trouble !== told && !signal.aborted)
        log('warn', 'replication_delete_waits', `${displayName(order.path)} stays for now: ${trouble}`, { path: order.path });
      told = trouble ?? '';
      // Done as well: the order stands until the inventory shows it, and must not be begun again at once.
      await pause(RETRY_MS, signal).catch(() => undefined);
    }
  }

  /** Null = done, or nothing to do; else why not now. */
  async function attempt(order: RemoveModel, signal: AbortSignal): Promise<string | null> {
    const name = displayName(order.path);
    const rows = await loaded.loaded(signal);
    if (rows === null) return 'Ollama does not say what is loaded';
    if (rows.some((row) => row.name === name) && !(await loaded.unload(name, signal))) return 'it is loaded and in use';
    if (signal.aborted) return null;
    const result = await store.removeModel(order.path, order.manifestDigest);
    if (result.k === 'refused') return result.reason;
    if (result.k === 'absent') return null;
    const fields = { path: order.path, digest: order.manifestDigest, id: result.id, blobs: result.blobs };
    log('info', 'replication_deleted', `${name} was removed as on the active; agentctl models restore ${name} brings it back`, fields);
    return null;
  }

  return {
    apply(orders) {
      if (closed || orders === wanted) return;
      wanted = orders;
      for (const { order, stop } of jobs.values()) {
        if (!orders.some((one) => one.path === order.path && one.manifestDigest === order.manifestDigest)) stop.abort();
      }
      for (const order of orders) {
        const running = jobs.get(order.path);
        if (running === undefined || running.stop.signal.aborted) start(order);
      }
    },
    close: async () => {
      closed = true;
      const ends = [...jobs.values()].map((job) => job.ended);
      for (const { stop } of jobs.values()) stop.abort();
      await Promise.all(ends);
    },
  };
}
