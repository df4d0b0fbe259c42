// Blobs from peers into part files, several at a time: the orders of one receiving thread.
import type { FileHandle } from 'node:fs/promises';
import type { MessagePort } from 'node:worker_threads';
import type { NodeId } from '../../core/types.ts';
import { type Connection, openConnection } from './connection.ts';
import { createLimit } from './limit.ts';
import type { FromReceiver, Peer, ReceiveOrder, ReceiveProgress, ReceiverSetup, TlsMaterial, ToReceiver } from './messages.ts';
import { type ReceiveContext, receiveBlob } from './receive-blob.ts';
import { openSink } from './sink-link.ts';
import type { Dial } from './tls.ts';

const PROGRESS_MS = 250;
const KEEP_IDLE_MS = 20_000;
/** Blobs at the same time; the rest wait. A server takes 16 connections from one node. */
const AT_ONCE_MAX = 8;
/** Fewer would close, and open anew, a connection for every other small blob. */
const KEEP_IDLE_MAX = AT_ONCE_MAX;

/** Takes orders from the port until it is told to close. */
export function receiveOrders(args: {
  readonly port: MessagePort;
  readonly setup: ReceiverSetup;
  readonly dial: Dial;
  /** New certificates for later connections; absent where connections have none. */
  readonly renew?: (tls: TlsMaterial) => void;
  /** This node, as others know it. */
  readonly self: NodeId;
  /** Makes a whole part durable. */
  readonly flush: (handle: FileHandle) => Promise<void>;
}): void {
  const { port, setup, dial, flush } = args;
  const tell = (message: FromReceiver) => port.postMessage(message);
  const limit = createLimit(setup.bytesPerSecondMax, () => performance.now());
  const pool = openPool(dial, setup.stallMs);
  const sink = openSink();
  const running = new Map<number, AbortController>();
  const queue: (() => void)[] = [];
  let free = AT_ONCE_MAX;

  const receive = async (id: number, order: ReceiveOrder): Promise<void> => {
    const stop = new AbortController();
    running.set(id, stop);
    const progress = throttled((news) => tell({ k: 'progress', id, ...news }));
    const share: ReceiveContext['share'] = (part) => tell({ k: 'part', digest: order.digest, part });
    const { lend, giveBack } = pool;
    const context: ReceiveContext = { lend, giveBack, limit, sink, flush, progress, share, self: args.self };
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => queue.push(resolve));
    const outcome = await receiveBlob(order, context, stop.signal);
    const next = queue.shift();
    if (next === undefined) free += 1;
    else next();
    running.delete(id);
    tell({ k: 'outcome', id, outcome });
  };

  port.on('message', (message: ToReceiver) => {
    switch (message.k) {
      case 'receive':
        void receive(message.id, message.order);
        return;
      case 'cancel':
        running.get(message.id)?.abort();
        return;
      case 'tls':
        args.renew?.(message.tls);
        return;
      case 'limit':
        limit.set(message.bytesPerSecondMax);
        return;
      case 'close':
        for (const stop of running.values()) stop.abort();
        pool.close();
        sink.close();
        port.close();
    }
  });
}

/** Passes on the first of each phase, then one in PROGRESS_MS. */
function throttled(pass: (progress: ReceiveProgress) => void): (progress: ReceiveProgress) => void {
  let nextAt = 0;
  let phase = '';
  return (progress) => {
    const now = performance.now();
    if (now < nextAt && progress.phase === phase) return;
    nextAt = now + PROGRESS_MS;
    phase = progress.phase;
    pass(progress);
  };
}

type Pool = Pick<ReceiveContext, 'lend' | 'giveBack'> & { readonly close: () => void };

/** Connections that wait for their next blob: a model may have thousands. */
function openPool(dial: Dial, stallMs: number): Pool {
  const idle = new Map<string, { readonly connection: Connection; readonly timer: NodeJS.Timeout }[]>();
  const nameOf = ({ node, host, port }: Peer) => `${node} ${host} ${port}`;
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
      if (waiting.length >= KEEP_IDLE_MAX) return connection.close();
      const timer = setTimeout(() => {
        waiting.splice(0, waiting.length, ...waiting.filter((entry) => entry.connection !== connection));
        connection.close();
      }, KEEP_IDLE_MS);
      waiting.push({ connection, timer });
    },
    close: () => {
      for (const { connection, timer } of [...idle.values()].flat()) {
        clearTimeout(timer);
        connection.close();
      }
      idle.clear();
    },
  };
}
