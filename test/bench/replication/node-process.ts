// One node of the bench, in its own process and namespace. Takes one order at a time.
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { createReplicator } from '../../../src/agent/replicator.ts';
import { fileKeyOf } from '../../../src/core/replication/names.ts';
import type { Inventory } from '../../../src/core/replication/types.ts';
import { hashFile } from '../../../src/drivers/store/hash.ts';
import { openStore, type Store } from '../../../src/drivers/store/store.ts';
import { openTransfer, type Transfer } from '../../../src/drivers/transfer/transfer.ts';
import { thrift } from '../../../src/thrift.ts';
import type { Answers, Fetched, NodeOrder, Order } from './orders.ts';

// As the agent's own start does.
setFlagsFromString(thrift);

const MIB = 1024 * 1024;
const log = (level: string, event: string, text: string) => {
  if (level !== 'info') console.error(event, text);
};

let transfer: Transfer | null = null;
let node: NodeOrder | null = null;
let store: Store | null = null;

async function openNode(order: NodeOrder): Promise<null> {
  node = order;
  await transfer?.close();
  // A thread takes the environment of its start, and no query in its URL.
  process.env.BENCH_PLAIN = order.mode.plain ? '1' : '';
  process.env.BENCH_NOSYNC = order.mode.sync ? '' : '1';
  const product = new URL('../../../src/drivers/transfer/', import.meta.url);
  const special = order.mode.plain || !order.mode.sync;
  transfer = await openTransfer({
    cluster: 'lab',
    tls: order.tls,
    listen: order.listen,
    root: order.root,
    peers: new Map(order.peers),
    bytesPerSecondMax: 0,
    threads: {
      serve: order.mode.plain ? new URL('./serve-process.ts', import.meta.url) : new URL('serve.ts', product),
      receive: special ? new URL('./receive-process.ts', import.meta.url) : new URL('receive.ts', product),
    },
    log,
  });
  return null;
}

/** Measures what `act` costs this process. */
async function measured(act: () => Promise<void>): Promise<Fetched> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let rssMiB = 0;
  const sampler = setInterval(() => {
    rssMiB = Math.max(rssMiB, process.memoryUsage.rss() / MIB);
  }, 50);
  delay.enable();
  const cpu = process.cpuUsage();
  const started = performance.now();
  await act();
  const seconds = (performance.now() - started) / 1000;
  const used = process.cpuUsage(cpu);
  delay.disable();
  clearInterval(sampler);
  return { seconds, cpuSeconds: (used.user + used.system) / 1e6, loopDelayP99Ms: delay.percentile(99) / 1e6, rssMiB };
}

function fetch(order: Order & { readonly k: 'fetch' }): Promise<Fetched> {
  return measured(async () => {
    const outcome = await transfer?.fetchBlob({ ...order, progress: () => undefined, signal: new AbortController().signal });
    if (outcome?.k !== 'done') throw new Error(`no blob: ${outcome?.reason}`);
  });
}

async function serveStore(models: number): Promise<Inventory> {
  await store?.close();
  const opened = await openStore({ root: node?.root ?? '', reserveBytes: 0, log });
  store = opened;
  opened.onVerified((change) => transfer?.offer(change));
  return inventoryOf(opened, models);
}

function inventoryOf(opened: Store, models: number): Promise<Inventory> {
  return new Promise((resolve) => {
    opened.onInventory((inventory) => {
      if (inventory.models.filter(({ complete }) => complete).length >= models) resolve(inventory);
    });
  });
}

async function bringModel(order: Order & { readonly k: 'model' }): Promise<Fetched> {
  if (store === null || transfer === null) throw new Error('no store');
  const replicator = createReplicator({
    store,
    fetchBlob: transfer.fetchBlob,
    fetchManifest: () => Promise.resolve(Buffer.from(order.manifest, 'base64')),
    sink: () => undefined,
    log,
    concurrency: 2,
    monoMs: () => performance.now(),
    pause: (ms, signal) => pause(ms, undefined, { signal }),
  });
  const here = inventoryOf(store, 1);
  const cost = await measured(async () => {
    replicator.apply(order.plan);
    await here;
  });
  await replicator.close();
  await store.close();
  store = null;
  return cost;
}

/** Random bytes in memory, hashed; a file in the page cache, copied, and flushed. */
function limits(from: string, to: string): Answers['limits'] {
  const bytes = statSync(from).size;
  const piece = Buffer.allocUnsafeSlow(MIB);
  const perSecond = (startedMs: number) => bytes / MIB / ((performance.now() - startedMs) / 1000);
  const [source, target] = [openSync(from, 'r'), openSync(to, 'w')];
  const copyStarted = performance.now();
  for (let n = readSync(source, piece); n > 0; n = readSync(source, piece)) writeSync(target, piece, 0, n);
  const copyMiBs = perSecond(copyStarted);
  fsyncSync(target);
  const copySyncMiBs = perSecond(copyStarted);
  closeSync(source);
  closeSync(target);
  const hash = createHash('sha256');
  const hashStarted = performance.now();
  for (let done = 0; done < bytes; done += MIB) hash.update(piece);
  return { hashMiBs: perSecond(hashStarted), copyMiBs, copySyncMiBs };
}

/** Sends so many bytes from memory to whoever connects. */
function pour(order: Order & { readonly k: 'pour' }): Promise<null> {
  const bytes = Buffer.alloc(MIB);
  const server = createServer((socket) => {
    let left = order.bytes;
    const more = () => {
      left -= bytes.length;
      if (left < 0) socket.end();
      else socket.write(bytes, more);
    };
    socket.on('error', () => undefined);
    more();
    server.close();
  });
  return new Promise((resolve) => server.listen(order.address.port, order.address.host, () => resolve(null)));
}

/** Receives all that comes, and says at which rate, MiB/s. */
function drink(order: Order & { readonly k: 'drink' }): Promise<number> {
  let bytes = 0;
  const started = performance.now();
  const callback = (n: number) => {
    bytes += n;
    return true;
  };
  const socket = connect({ ...order.address, onread: { buffer: Buffer.allocUnsafeSlow(MIB), callback } });
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => resolve(bytes / MIB / ((performance.now() - started) / 1000)));
  });
}

async function obey(order: Order): Promise<Answers[Order['k']]> {
  switch (order.k) {
    case 'node':
      return openNode(order);
    case 'offer': {
      const file = join(node?.root ?? '', 'blobs', `sha256-${order.digest}`);
      transfer?.offer({ add: [[order.digest, fileKeyOf(statSync(file, { bigint: true }))]], remove: [] });
      return null;
    }
    case 'warm':
      await transfer?.fetchBlob({
        ...order,
        digest: '0'.repeat(64),
        sizeBytes: 1,
        progress: () => undefined,
        signal: new AbortController().signal,
      });
      return null;
    case 'fetch':
      return fetch(order);
    case 'store':
      return serveStore(order.models);
    case 'model':
      return bringModel(order);
    case 'scrub': {
      const started = performance.now();
      await hashFile(order.file, new AbortController().signal);
      return statSync(order.file).size / MIB / ((performance.now() - started) / 1000);
    }
    case 'limits':
      return limits(order.from, order.to);
    case 'pour':
      return pour(order);
    case 'drink':
      return drink(order);
    case 'cpu': {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    }
  }
}

process.on('message', (order) => {
  obey(order as Order).then(
    (answer) => process.send?.({ answer }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
