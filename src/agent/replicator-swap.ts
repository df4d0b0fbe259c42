// A tag whose model is loaded here gets a new manifest: unload by name, swap, load again. Afterwards the old runner could not be unloaded
// any more, because Ollama finds a runner by the weights that the name stands for now.
import { displayName } from '../core/replication/names.ts';
import type { FetchModel, ModelPath, Sha256 } from '../core/replication/types.ts';
import type { LoadedHere, LoadedPort } from './ports.ts';
import type { ReplicatorLog } from './replicator-ports.ts';

/** Runs `publish` with the model of `order` out of memory, and loads the new one if the old one was loaded. Throws what `publish` throws. */
export type Swap = <T extends { readonly k: string }>(order: FetchModel, publish: () => Promise<T>, signal: AbortSignal) => Promise<T>;

/** `digestHere` is the manifest that a path has here now, null = none. Without a port it only publishes. */
export function createSwap(args: {
  readonly loaded: LoadedPort | null;
  readonly digestHere: (path: ModelPath) => Sha256 | null;
  readonly log: ReplicatorLog;
}): Swap {
  const { loaded: port, digestHere, log } = args;
  return async (order, publish, signal) => {
    const here = digestHere(order.path);
    if (port === null || here === null || here === order.manifestDigest) return publish();
    const was = await takeOut(port, displayName(order.path), signal);
    signal.throwIfAborted();
    const result = await publish();
    if (was !== null) {
      const name = displayName(order.path);
      const back = await port.preload(was, signal);
      const text = back
        ? `${name} was loaded and is loaded again with its new content`
        : `${name} was loaded; it could not be loaded again`;
      log(back ? 'info' : 'warn', 'replication_reloaded', text, { path: order.path, result: result.k });
    }
    return result;
  };
}

/** The row of the model that was unloaded; null = it was not loaded, or nobody answers and so nothing runs that could be asked. */
async function takeOut(port: LoadedPort, name: string, signal: AbortSignal): Promise<LoadedHere | null> {
  const was = (await port.loaded(signal))?.find((row) => row.name === name);
  if (was === undefined) return null;
  if (await port.unload(name, signal)) return was;
  throw new Error(`${name} is loaded here and in use; its new content waits until it is free`);
}
