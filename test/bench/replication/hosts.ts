// Hosts of the bench: namespaces on one bridge, a process in each, an rsync daemon, and links that can be made slow.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { must } from '../../lab/command.ts';
import { dataRoot, macOf, namespaceOf, nodeAt, switchName } from '../../lab/names.ts';
import { buildNetwork } from '../../lab/network.ts';
import { destroyAtExit, destroyLab, forgetAtExit } from '../../lab/teardown.ts';
import type { Answers, Order } from './orders.ts';

/** A host. */
export type BenchHost = {
  readonly name: string;
  readonly address: string;
  readonly namespace: string;
  readonly ask: <K extends Order['k']>(order: Order & { readonly k: K }) => Promise<Answers[K]>;
};

/** Some hosts, and a directory on disk that ends with them. */
export type Hosts = Disposable & { readonly id: string; readonly dir: string; readonly hosts: readonly BenchHost[] };

const RSYNC_PORT = 8730;

/** Builds `count` hosts. Whatever happens to this process, nothing of them is left. */
export async function buildHosts(count: number): Promise<Hosts> {
  if (process.getuid?.() !== 0) throw new Error('this bench needs root: it builds network namespaces');
  const id = `r${(process.pid % 46_656).toString(36)}`;
  destroyLab(id);
  destroyAtExit(id);
  const dir = join(dataRoot, id);
  mkdirSync(dir, { recursive: true });
  const stations = Array.from({ length: count }, (_, i) => ({ ...nodeAt(i + 1), mac: macOf(i + 1) }));
  await buildNetwork(id, stations, []);
  const hosts = stations.map(({ name, address }) => openHost(name, address, namespaceOf(id, name)));
  return {
    id,
    dir,
    hosts,
    [Symbol.dispose]: () => {
      destroyLab(id);
      forgetAtExit(id);
    },
  };
}

function openHost(name: string, address: string, namespace: string): BenchHost {
  const program = join(import.meta.dirname, 'node-process.ts');
  // With its translation cached a host is what a release is: no TypeScript compiler in any thread. The rest as in the agent's unit.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'ollama-ha-bench'), MALLOC_ARENA_MAX: '2' };
  const child: ChildProcess = spawn('ip', ['netns', 'exec', namespace, process.execPath, program], {
    env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  return {
    name,
    address,
    namespace,
    ask: (order) =>
      new Promise((resolve, reject) => {
        const gone = () => reject(new Error(`${name}: its process ended`));
        child.once('exit', gone);
        child.once('message', (message: { readonly answer: never; readonly error?: string }) => {
          child.off('exit', gone);
          if (message.error === undefined) resolve(message.answer);
          else reject(new Error(`${name}: ${message.error}`));
        });
        child.send(order);
      }),
  };
}

/** Shapes a host's link in both directions. */
export async function shape(id: string, host: BenchHost, bitsPerSecond: number): Promise<void> {
  const tbf = ['root', 'tbf', 'rate', `${bitsPerSecond}bit`, 'burst', '256kb', 'latency', '50ms'];
  await must(['tc', '-n', namespaceOf(id, switchName), 'qdisc', 'replace', 'dev', host.name, ...tbf]);
  await must(['tc', '-n', host.namespace, 'qdisc', 'replace', 'dev', 'eth0', ...tbf]);
}

/** An rsync daemon on a host that gives these directories, by name. */
export async function serveRsync(host: BenchHost, dir: string, modules: Readonly<Record<string, string>>): Promise<void> {
  const file = join(dir, 'rsyncd.conf');
  const texts = Object.entries(modules).map(([name, path]) => `[${name}]\n  path = ${path}\n  read only = yes\n`);
  writeFileSync(file, `use chroot = no\nuid = root\ngid = root\nlog file = /dev/null\n${texts.join('')}`);
  const args = ['--daemon', '--no-detach', `--config=${file}`, `--port=${RSYNC_PORT}`, `--address=${host.address}`];
  spawn('ip', ['netns', 'exec', host.namespace, 'rsync', ...args], { stdio: 'ignore' }).unref();
  await answering(host);
}

async function answering(host: BenchHost): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      await must(['ip', 'netns', 'exec', host.namespace, 'rsync', `rsync://${host.address}:${RSYNC_PORT}/`]);
      return;
    } catch {
      await pause(50);
    }
  }
  throw new Error('the rsync daemon does not answer');
}

/** Copies a module with rsync as a user would, and says how long it took, s. */
export async function runRsync(from: BenchHost, to: BenchHost, options: readonly string[], module: string, dir: string): Promise<number> {
  const url = `rsync://${from.address}:${RSYNC_PORT}/${module}/`;
  const started = performance.now();
  await must(['ip', 'netns', 'exec', to.namespace, 'rsync', ...options, url, `${dir}/`], { timeoutMs: 600_000 });
  return (performance.now() - started) / 1000;
}
