// One host and one client on a veth pair, each in a namespace of its own, with real keepalived and nft. Nothing of it outlives `end`.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { Input } from '../../../src/core/io.ts';
import { renderKeepalived } from '../../../src/core/vip/keepalived-conf.ts';
import type { HolderLine, HolderOrder } from './holder.ts';

export const VIP = '10.77.0.100';
export const VIP6 = 'fd77::100';
export const monoMs = () => Number(process.hrtime.bigint()) / 1e6;

type Timed<T> = T & { readonly at: number };
type FactOf<K extends Input['k']> = Extract<Input, { k: K }>;

/** The holder process as a test sees it. */
export type Holder = {
  readonly pid: number;
  order(order: HolderOrder): void;
  /** The next fact of this kind that arrived after `since` (monotonic ms) and satisfies `match`. */
  fact<K extends Input['k']>(k: K, match?: (fact: FactOf<K>) => boolean, since?: number): Promise<Timed<FactOf<K>>>;
  lines(): readonly HolderLine[];
};

/** Host and client. */
export type Stage = {
  readonly runDir: string;
  readonly host: string;
  readonly client: string;
  startKeepalived(): Promise<number>;
  /** All keepalived processes of the host. */
  keepalivedPids(): number[];
  keepalivedLog(): string;
  /** `fence`: required, or off with address lifetimes, or off with the script alone. */
  startHolder(driver?: 'keepalived' | 'address', streamPort?: number, fence?: 'required' | 'lifetimes' | 'script'): Holder;
  inHost(...argv: string[]): string;
  /** Does the address answer an ARP question of the client within a second? */
  answers(): Promise<boolean>;
  /** Does every address of the stage, or the one named, answer a TCP connect of a client that knows no MAC of it? */
  dials(...addresses: string[]): Promise<boolean>;
  present(): boolean;
  /** Ends keepalived and holders, takes address, fence and files away. */
  reset(): Promise<void>;
  end(): Promise<void>;
};

/** Builds a stage named after this process; `label` keeps two in one process apart. The addresses have prefix lengths. */
export function openStage(label: string, vips: readonly string[] = [`${VIP}/24`], node = '10.77.0.1'): Stage {
  const id = `ohl-vip-${process.pid}-${label}`;
  const host = `${id}-h`;
  const client = `${id}-c`;
  const runDir = `/run/${id}`;
  const script = `${runDir}/libexec/vip-deadline`;
  const children: ChildProcess[] = [];
  const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' });

  for (const name of [host, client]) ip('netns', 'add', name);
  ip('-n', host, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', client);
  for (const name of [host, client]) for (const link of ['lo', 'eth0']) ip('-n', name, 'link', 'set', link, 'up');
  ip('-n', host, 'address', 'add', '10.77.0.1/24', 'dev', 'eth0');
  ip('-n', host, 'address', 'add', 'fd77::1/64', 'dev', 'eth0', 'nodad');
  ip('-n', client, 'address', 'add', '10.77.0.200/24', 'dev', 'eth0');
  ip('-n', client, 'address', 'add', 'fd77::200/64', 'dev', 'eth0', 'nodad');
  // /run is a tmpfs wherever the agent runs for real; on a disk each rename takes milliseconds.
  mkdirSync(runDir, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=0755', 'tmpfs', runDir]);
  mkdirSync(`${runDir}/libexec`, { recursive: true });
  mkdirSync(`${runDir}/vip`, { recursive: true });
  copyFileSync(new URL('../../../deploy/keepalived/vip-deadline', import.meta.url), script);
  chmodSync(script, 0o755);
  writeFileSync(`${runDir}/keepalived.conf`, keepalivedConf(runDir, script, vips, node));

  const plain = vips.map((vip) => vip.split('/')[0] ?? vip);
  const keepalivedPids = () =>
    ip('netns', 'pids', host)
      .split('\n')
      .filter((pid) => pid !== '' && existsSync(`/proc/${pid}/comm`) && readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'keepalived')
      .map(Number);
  const logFile = `${runDir}/keepalived.log`;
  const inHost = (...argv: string[]) => execFileSync('ip', ['netns', 'exec', host, ...argv], { encoding: 'utf8' });

  async function reset(): Promise<void> {
    const ended = children.splice(0).map((child) => {
      const gone = child.exitCode === null && child.signalCode === null ? new Promise((resolve) => child.once('exit', resolve)) : null;
      child.kill('SIGKILL');
      return gone;
    });
    await Promise.all(ended);
    for (let pids = keepalivedPids(); pids.length > 0; pids = keepalivedPids()) {
      for (const pid of pids) kill(pid, 'SIGKILL');
      await delay(5);
    }
    for (const vip of plain) ip('-n', host, 'address', 'flush', 'to', `${vip}/${vip.includes(':') ? 128 : 32}`, 'dev', 'eth0');
    inHost('nft', 'flush', 'ruleset');
    rmSync(logFile, { force: true });
    for (const file of ['lease', 'deadline', 'epoch']) rmSync(`${runDir}/vip/${file}`, { force: true });
    mkdirSync(`${runDir}/vip`, { recursive: true });
  }

  return {
    runDir,
    host,
    client,
    keepalivedPids,
    inHost,
    reset,
    keepalivedLog: () => readFileSync(logFile, 'utf8'),
    present: () => plain.some((vip) => inHost('ip', '-o', 'address', 'show', 'dev', 'eth0').includes(`${vip}/`)),
    async startKeepalived() {
      // A killed predecessor may not have been reaped yet, and would count as running.
      for (const file of ['k.pid', 'v.pid', 'keepalived.fifo']) rmSync(`${runDir}/${file}`, { force: true });
      const out = openSync(logFile, 'a');
      const conf = ['-f', `${runDir}/keepalived.conf`, '-p', `${runDir}/k.pid`, '-r', `${runDir}/v.pid`];
      const child = spawn('ip', ['netns', 'exec', host, 'keepalived', '-n', '-l', '-D', '-P', ...conf], {
        detached: true,
        stdio: ['ignore', out, out],
      });
      closeSync(out);
      children.push(child);
      while (!existsSync(`${runDir}/keepalived.fifo`)) await delay(5);
      return child.pid ?? 0;
    },
    startHolder(driver = 'keepalived', streamPort = 0, fence = 'required') {
      const program = new URL('./holder.ts', import.meta.url).pathname;
      const argv = ['netns', 'exec', host, process.execPath, program, runDir, script, driver, String(streamPort), fence, ...vips];
      const child = spawn('ip', argv, { detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
      children.push(child);
      return holderOf(child);
    },
    answers: () =>
      new Promise((resolve) => {
        execFile('ip', ['netns', 'exec', client, 'arping', '-b', '-f', '-w', '1', '-I', 'eth0', VIP], (error) => resolve(error === null));
      }),
    async dials(...addresses) {
      const asked = addresses.length === 0 ? plain : addresses;
      ip('-n', client, 'neigh', 'flush', 'dev', 'eth0');
      const answers = await Promise.all(
        asked.map(
          (address) =>
            new Promise<boolean>((resolve) => {
              const dial = ['timeout', '0.6', 'bash', '-c', 'echo > "/dev/tcp/$0/9"', address];
              // Nobody listens there: a refusal is an answer, silence is none.
              execFile('ip', ['netns', 'exec', client, ...dial], (_error, _out, err) => resolve(err.includes('refused')));
            }),
        ),
      );
      return answers.every((answered) => answered);
    },
    async end() {
      await reset();
      for (const name of [host, client]) ip('netns', 'del', name);
      execFileSync('umount', [runDir]);
      rmdirSync(runDir);
    },
  };
}

function keepalivedConf(runDir: string, script: string, vips: readonly string[], node: string): string {
  return renderKeepalived({
    node: { id: 'gpu1', address: node },
    nodes: [
      { id: 'gpu1', address: node },
      { id: 'gpu2', address: node.replace(/1$/, '2') },
    ],
    vips,
    interface: 'eth0',
    virtualRouterId: 77,
    runDir,
    script,
    user: 'root',
  });
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}

function holderOf(child: ChildProcess): Holder {
  const seen: HolderLine[] = [];
  const waiting = new Set<() => void>();
  if (child.stdout === null) throw new Error('no stdout');
  createInterface({ input: child.stdout }).on('line', (text) => {
    seen.push(JSON.parse(text) as HolderLine);
    for (const look of waiting) look();
  });
  return {
    pid: child.pid ?? 0,
    lines: () => seen,
    order(order) {
      child.stdin?.write(`${JSON.stringify(order)}\n`);
    },
    fact(k, match = () => true, since = 0) {
      return new Promise((resolve, reject) => {
        const look = () => {
          const line = seen.find((l) => l.k === 'fact' && l.fact.k === k && l.at > since && match(l.fact as FactOf<typeof k>));
          if (line?.k !== 'fact') return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve({ ...(line.fact as FactOf<typeof k>), at: line.at });
        };
        const timer = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`no fact "${k}" within 8 s; seen:\n${seen.map((l) => JSON.stringify(l)).join('\n')}`));
        }, 8000);
        waiting.add(look);
        look();
      });
    },
  };
}
