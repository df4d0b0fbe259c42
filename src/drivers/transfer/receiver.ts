// Blobs from peers into part files, several at a time: the orders of one receiving thread.
import type { FileHandle } from 'node:fs/promises';
import type { MessagePort } from 'node:worker_threads';
import { gather } from '../../core/replication/gather.ts';
import type { NodeId } from '../../core/types.ts';
import { createLimit } from './limit.ts';
import type { FromReceiver, ReceiveOrder, ReceiveOutcome, ReceiveProgress, ReceiverSetup, TlsMaterial, ToReceiver } from './messages.ts';
import { openPool } from './pool.ts';
import { failureOf, type ReceiveContext, receiveBlob } from './receive-blob.ts';
import { IN_MEMORY_BYTES, openReceiveSmall } from './receive-small.ts';
import { openSink } from './sink-link.ts';
import type { Dial } from './tls.ts';

const PROGRESS_MS = 250;
/** What is told waits so long for company. */
const TELL_MS = 2;
/** Blobs at the same time; the rest wait. A server takes 16 connections from one node. Small ones share one connection, and are not counted. */
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
  const tell = gather<FromReceiver>(
    (run) => setTimeout(run, TELL_MS),
    (messages) => port.postMessage(messages),
  );
  const limit = createLimit(setup.bytesPerSecondMax, () => performance.now());
  const pool = openPool({ dial, stallMs: setup.stallMs, keepMax: KEEP_IDLE_MAX });
  const receiveSmall = openReceiveSmall({ connect: pool.shared, limit });
  const sink = openSink();
  const running = new Map<number, AbortController>();
  const queue: (() => void)[] = [];
  let free = AT_ONCE_MAX;

  const receive = async (id: number, order: ReceiveOrder): Promise<void> => {
    const stop = new AbortController();
    running.set(id, stop);
    const small =
      order.sizeBytes <= IN_MEMORY_BYTES ? await receiveSmall(order, stop.signal).catch((error) => failureOf(error, stop.signal)) : null;
    const outcome = small ?? (await inTurn(id, order, stop.signal));
    running.delete(id);
    tell({ k: 'outcome', id, outcome });
  };

  const inTurn = async (id: number, order: ReceiveOrder, signal: AbortSignal): Promise<ReceiveOutcome> => {
    const progress = throttled((news) => tell({ k: 'progress', id, ...news }));
    const share: ReceiveContext['share'] = (part) => tell({ k: 'part', digest: order.digest, part });
    const { lend, giveBack } = pool;
    const context: ReceiveContext = { lend, giveBack, limit, sink, flush, progress, share, self: args.self };
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => queue.push(resolve));
    const outcome = await receiveBlob(order, context, signal);
    const next = queue.shift();
    if (next === undefined) free += 1;
    else next();
    return outcome;
  };

  const obey = (message: ToReceiver): void => {
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
  };
  port.on('message', (messages: readonly ToReceiver[]) => messages.forEach(obey));
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
