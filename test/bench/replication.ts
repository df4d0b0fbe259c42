// Copies one blob over loopback TLS from one process to another and prints what it cost, as JSON. Not a test: it asserts nothing by time.
//   node test/bench/replication.ts            SIZE_MIB=2048 RUNS=3 DIR=/var/tmp
import { type ChildProcess, fork } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileKeyOf } from '../../src/core/replication/names.ts';
import { hashFile } from '../../src/drivers/store/hash.ts';
import type { TlsMaterial } from '../../src/drivers/transfer/messages.ts';
import { openTransfer } from '../../src/drivers/transfer/transfer.ts';
import { createAuthority } from '../contract/transfer/certs.ts';

const MIB = 1024 * 1024;
type Order = { readonly tls: TlsMaterial; readonly root: string; readonly digest: string };

const log = (_level: string, event: string, text: string) => console.error(event, text);

async function serve({ tls, root, digest }: Order): Promise<void> {
  const address = { host: '127.0.0.1', port: 0 };
  const transfer = await openTransfer({
    cluster: 'lab',
    tls,
    listen: address,
    root,
    peers: new Map([['gpu2', address]]),
    bytesPerSecondMax: 0,
    log,
  });
  transfer.offer({ add: [[digest, fileKeyOf(statSync(join(root, 'blobs', `sha256-${digest}`), { bigint: true }))]], remove: [] });
  process.send?.({ port: transfer.port() });
}

function makeBlob(root: string, sizeMiB: number): string {
  const [hash, file, piece] = [createHash('sha256'), join(root, 'new'), Buffer.alloc(MIB)];
  const fd = openSync(file, 'w');
  for (let i = 0; i < sizeMiB; i += 1) {
    writeSync(fd, randomFillSync(piece));
    hash.update(piece);
  }
  closeSync(fd);
  return hash.digest('hex');
}

async function receive(tls: TlsMaterial, port: number, digest: string, sizeBytes: number, file: string) {
  const peers = new Map([['gpu1', { host: '127.0.0.1', port }]]);
  const transfer = await openTransfer({ cluster: 'lab', tls, listen: null, root: '/', peers, bytesPerSecondMax: 0, log });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let rssMaxMiB = 0;
  const sampler = setInterval(() => {
    rssMaxMiB = Math.max(rssMaxMiB, process.memoryUsage.rss() / MIB);
  }, 50);
  delay.enable();
  const cpu = process.cpuUsage();
  const started = performance.now();
  const outcome = await transfer.fetchBlob({
    digest,
    sizeBytes,
    file,
    sources: ['gpu1'],
    progress: () => undefined,
    signal: new AbortController().signal,
  });
  const seconds = (performance.now() - started) / 1000;
  const used = process.cpuUsage(cpu);
  delay.disable();
  clearInterval(sampler);
  await transfer.close();
  if (outcome.k !== 'done') throw new Error(outcome.reason);
  const cpuSeconds = (used.user + used.system) / 1e6;
  return {
    miBs: sizeBytes / MIB / seconds,
    cpuSeconds,
    loopDelayP99Ms: delay.percentile(99) / 1e6,
    loopDelayMaxMs: delay.max / 1e6,
    rssMaxMiB,
  };
}

async function main(): Promise<void> {
  const sizeMiB = Number(process.env.SIZE_MIB ?? 2048);
  const dir = mkdtempSync(join(process.env.DIR ?? tmpdir(), 'bench-replication-'));
  let child: ChildProcess | null = null;
  try {
    mkdirSync(join(dir, 'blobs'));
    const digest = makeBlob(dir, sizeMiB);
    const blob = join(dir, 'blobs', `sha256-${digest}`);
    renameSync(join(dir, 'new'), blob);
    const authority = await createAuthority();
    const order: Order = { tls: await authority.issue(['gpu1.lab.ollama-ha']), root: dir, digest };
    const scrub = performance.now();
    await hashFile(blob, new AbortController().signal);
    const scrubMiBs = sizeMiB / ((performance.now() - scrub) / 1000);
    child = fork(import.meta.filename, ['serve'], { stdio: 'inherit' });
    child.send(order);
    const { port } = await new Promise<{ port: number }>((resolve) =>
      child?.once('message', (message) => resolve(message as { port: number })),
    );
    const tls = await authority.issue(['gpu2.lab.ollama-ha']);
    const runs = [];
    for (let i = 0; i < Number(process.env.RUNS ?? 3); i += 1) {
      runs.push(await receive(tls, port, digest, sizeMiB * MIB, join(dir, `part-${i}`)));
      rmSync(join(dir, `part-${i}`));
    }
    const ticks = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(' ');
    const senderCpuSecondsPerRun = (Number(ticks[13]) + Number(ticks[14])) / 100 / runs.length;
    const senderRssMiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024;
    console.log(
      JSON.stringify(
        { sizeMiB, scrubMiBs, tls: runs, senderRssMiB, senderCpuSecondsPerRun },
        (_key, value) => (typeof value === 'number' ? Math.round(value * 10) / 10 : value),
        1,
      ),
    );
  } finally {
    child?.kill();
    rmSync(dir, { recursive: true, force: true });
  }
}

if (process.argv[2] === 'serve') process.once('message', (order) => void serve(order as Order));
else await main();
