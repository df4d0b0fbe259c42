// Connections to peers, kept for a while after their last blob: a model may have thousands of them.
import { type Connection, openConnection } from './connection.ts';
import type { Peer } from './messages.ts';
import type { Dial } from './tls.ts';

/** The connections of one receiving thread. */
export type Pool = {
  /** A connection that nobody else uses. `giveBack` takes it after a whole answer; in any other case it is to be closed. */
  readonly lend: (peer: Peer, signal: AbortSignal) => Promise<Connection>;
  readonly giveBack: (peer: Peer, connection: Connection) => void;
  /** The one connection to this peer over which all small blobs come, one right behind the other. It breaks for all of them. */
  readonly shared: (peer: Peer) => Promise<Connection>;
  readonly close: () => void;
};

const KEEP_IDLE_MS = 20_000;

/** `keepMax`: idle connections to one peer. */
export function openPool(args: { readonly dial: Dial; readonly stallMs: number; readonly keepMax: number }): Pool {
  const { dial, stallMs } = args;
  const idle = new Map<string, { readonly connection: Connection; readonly timer: NodeJS.Timeout }[]>();
  const common = openShared((peer, signal) => openConnection({ peer, dial, stallMs, signal }));
  const takeIdle = (peer: Peer): Connection | null => {
    for (let entry = idle.get(nameOf(peer))?.pop(); entry !== undefined; entry = idle.get(nameOf(peer))?.pop()) {
      clearTimeout(entry.timer);
      if (entry.connection.usable()) return entry.connection;
    }
    return null;
  };
  return {
    lend: async (peer, signal) => takeIdle(peer) ?? (await openConnection({ peer, dial, stallMs, signal })),
    giveBack: (peer, connection) => {
      if (!connection.usable()) return connection.close();
      const waiting = idle.get(nameOf(peer)) ?? [];
      idle.set(nameOf(peer), waiting);
      if (waiting.length >= args.keepMax) return connection.close();
      const timer = setTimeout(() => {
        waiting.splice(0, waiting.length, ...waiting.filter((entry) => entry.connection !== connection));
        connection.close();
      }, KEEP_IDLE_MS);
      waiting.push({ connection, timer });
    },
    shared: common.get,
    close: () => {
      for (const { connection, timer } of [...idle.values()].flat()) {
        clearTimeout(timer);
        connection.close();
      }
      idle.clear();
      common.close();
    },
  };
}

type Shared = { readonly opening: Promise<Connection>; connection: Connection | null; readonly timer: NodeJS.Timeout };

function openShared(
  dial: (peer: Peer, signal: AbortSignal) => Promise<Connection>,
): Pick<Pool, 'close'> & { readonly get: Pool['shared'] } {
  const open = new Map<string, Shared>();
  const stop = new AbortController();

  function start(peer: Peer): Shared {
    const name = nameOf(peer);
    const timer = setTimeout(() => {
      // While answers are awaited its own watchdog decides.
      if (shared.connection !== null && !shared.connection.usable()) timer.refresh();
      else drop();
    }, KEEP_IDLE_MS);
    const drop = () => {
      clearTimeout(timer);
      shared.connection?.close();
      if (open.get(name) === shared) open.delete(name);
    };
    const shared: Shared = { opening: dial(peer, stop.signal), connection: null, timer };
    open.set(name, shared);
    shared.opening.then((connection) => {
      shared.connection = connection;
    }, drop);
    return shared;
  }

  return {
    get: (peer) => {
      const found = open.get(nameOf(peer));
      const dead = found?.connection?.closed() === true;
      if (dead) clearTimeout(found?.timer);
      const shared = found === undefined || dead ? start(peer) : found;
      shared.timer.refresh();
      return shared.opening;
    },
    close: () => {
      stop.abort();
      for (const { connection, timer } of open.values()) {
        clearTimeout(timer);
        connection?.close();
      }
      open.clear();
    },
  };
}

function nameOf({ node, host, port }: Peer): string {
  return `${node} ${host} ${port}`;
}
