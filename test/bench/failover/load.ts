// Load on a lab host: every CPU twice over, most of the free memory written again and again, and a big copy. All below the agent's priority.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../../lab/host.ts';
import { monoMs } from '../../lab/names.ts';
import { signal } from '../../lab/teardown.ts';

const running = new Map<string, number[]>();

/** How much: the size of the copy, and the share of the free memory that is written. */
export type LoadSize = { readonly copyMiB: number; readonly memoryShare: number };

/** Starts it; the moment, monotonic ms. */
export function startLoad(host: Host, { copyMiB, memoryShare }: LoadSize): number {
  const at = monoMs();
  const source = join(host.plan.dataDir, 'load-source');
  const copy = [
    ['dd', 'if=/dev/zero', `of=${source}`, 'bs=1M', `count=${copyMiB}`, 'conv=fsync'],
    ['cp', '--reflink=never', source, join(host.plan.dataDir, 'load-copy')],
  ];
  const hog = ['--max-old-space-size=100000', join(import.meta.dirname, 'load-process.ts')];
  const commands = [
    ...Array.from({ length: 2 * availableParallelism() }, () => ['sha256sum', '/dev/zero']),
    [process.execPath, ...hog, 'memory', String(memoryShare)],
    [process.execPath, ...hog, 'copy', JSON.stringify(copy)],
  ];
  const pids = commands.map((argv) => {
    const child = spawn('ip', ['netns', 'exec', host.namespace, ...argv], { cwd: '/', detached: true, stdio: 'ignore' });
    child.unref();
    return child.pid ?? 0;
  });
  running.set(host.name, pids);
  return at;
}

/** Ends it and removes its files. */
export function stopLoad(host: Host): void {
  // Each is the leader of its own group: what it started ends with it.
  for (const pid of running.get(host.name) ?? []) if (pid > 1) signal(-pid, 'SIGKILL');
  running.delete(host.name);
  for (const file of ['load-source', 'load-copy']) rmSync(join(host.plan.dataDir, file), { force: true });
}
