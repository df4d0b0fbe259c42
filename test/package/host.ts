// A host made of a clean root: its own mounts, processes and network, ended with everything in it.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cleanRootTar } from './clean-root.ts';

const run = promisify(execFile);

/** What a command said, and its exit code. */
export type Said = { readonly code: number; readonly out: string };

/** The host. */
export type Host = {
  /** Its root directory, seen from outside. */
  readonly root: string;
  /** Runs a command inside, as root; both outputs together. */
  readonly exec: (...argv: readonly string[]) => Promise<Said>;
  /** Starts a program inside and leaves it running. */
  readonly start: (argv: readonly string[]) => ChildProcess;
  /** argv that runs a program of this machine inside the host's network only. */
  readonly inNetwork: (argv: readonly string[]) => readonly string[];
  readonly close: () => void;
};

/** Unpacks a clean Debian and boots nothing in it. */
export async function openHost(): Promise<Host> {
  const root = mkdtempSync(join(tmpdir(), 'ollama-ha-root-'));
  await run('tar', ['-xf', await cleanRootTar(), '-C', root]);
  const flags = ['--mount', '--pid', '--net', '--uts', '--ipc', '--fork', '--kill-child'];
  const script = `mount -t proc proc ${root}/proc && mount -t tmpfs tmpfs ${root}/run && mount --rbind /dev ${root}/dev && hostname gpu1 && ip link set lo up && ip link add eth0 type veth peer name wire && ip address add 10.77.0.1/24 dev eth0 && ip link set eth0 up && ip link set wire up && echo ready && exec sleep infinity`;
  const holder = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...flags, 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    holder.stdout.once('data', () => resolve());
    holder.once('exit', (code) => reject(new Error(`the host ended with code ${code}`)));
  });
  // --fork: the namespaces are those of the child.
  const { stdout } = await run('pgrep', ['-P', String(holder.pid)]);
  const enter = ['nsenter', '-t', stdout.trim(), '-m', '-p', '-n', '-u', '-i'];
  const inside = [
    ...enter,
    'chroot',
    root,
    '/usr/bin/env',
    '-i',
    'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
    'LC_ALL=C.UTF-8',
    'DEBIAN_FRONTEND=noninteractive',
  ];
  return {
    root,
    exec: (...argv) => said([...inside, ...argv]),
    start: (argv) => spawn(inside[0] ?? '', [...inside.slice(1), ...argv], { stdio: ['ignore', 'pipe', 'pipe'] }),
    inNetwork: (argv) => ['nsenter', '-t', stdout.trim(), '-n', ...argv],
    close: () => {
      holder.kill('SIGKILL');
      rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

async function said(argv: readonly string[]): Promise<Said> {
  const [file = '', ...args] = argv;
  try {
    const { stdout, stderr } = await run(file, args, { maxBuffer: 16 << 20 });
    return { code: 0, out: stdout + stderr };
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string };
    return { code: typeof code === 'number' ? code : -1, out: stdout + stderr };
  }
}
