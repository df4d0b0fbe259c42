// Which process is our redis-server: told apart from a reused pid by start time, program and configuration path.
import { type FileHandle, open, readFile, readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** One process, for as long as the machine runs: a pid alone may be reused. */
export type ProcessIdentity = {
  readonly pid: number;
  /** Clock ticks from boot to the start of the process. */
  readonly startTicks: string;
};

const pollMs = 20;

/** The running process `pid` if it is `executable` (a resolved path) started with `conf`; null otherwise. */
export async function ourProcess(pid: number, executable: string, conf: string): Promise<ProcessIdentity | null> {
  try {
    const startTicks = await startTicksOf(pid);
    const exe = (await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, ''); // replaced by an upgrade while running
    const argv = (await readBounded(`/proc/${pid}/cmdline`)).split('\0');
    return startTicks !== null && exe === executable && argv[1] === conf ? { pid, startTicks } : null;
  } catch {
    return null; // gone, or another user's
  }
}

/** Does the very same process still run? A zombie does not. */
export async function isAlive(process: ProcessIdentity): Promise<boolean> {
  try {
    return (await startTicksOf(process.pid)) === process.startTicks;
  } catch {
    return false;
  }
}

/** Sends a signal to that very process; false when it is gone. */
async function signal(target: ProcessIdentity, name: 'SIGTERM' | 'SIGKILL'): Promise<boolean> {
  if (!(await isAlive(target))) return false;
  try {
    return process.kill(target.pid, name);
  } catch {
    return false;
  }
}

/** Waits until the process is gone; false when it outlived `withinMs`. */
async function waitGone(target: ProcessIdentity, withinMs: number): Promise<boolean> {
  for (let waited = 0; waited < withinMs; waited += pollMs) {
    if (!(await isAlive(target))) return true;
    await sleep(pollMs);
  }
  return !(await isAlive(target));
}

/** SIGTERM, then SIGKILL for one that does not go: it keeps nothing on disk, so nothing is lost. */
export async function endProcess(target: ProcessIdentity): Promise<void> {
  await signal(target, 'SIGTERM');
  if (await waitGone(target, 1500)) return;
  await signal(target, 'SIGKILL');
  // A stopped process may take seconds to die, and keeps its port until then.
  await waitGone(target, 10_000);
}

/** The pid in a pid file, or null. */
export async function readPid(file: string): Promise<number | null> {
  try {
    const text = (await readBounded(file)).trim();
    return /^[1-9][0-9]{0,9}$/.test(text) ? Number(text) : null;
  } catch {
    return null;
  }
}

/** The last lines of a log, joined to one bounded sentence; '' when there is none. */
export async function logTail(file: string, fromByte: number): Promise<string> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(file, 'r');
    const { size } = await handle.stat();
    const from = Math.max(fromByte, size - 2000);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(2000), 0, 2000, from);
    const lines = buffer.toString('utf8', 0, bytesRead).trim().split('\n').slice(-3);
    return lines
      .map((line) => line.replace(/^.*? [#*.-] /, '').trim())
      .join('; ')
      .slice(0, 400);
  } catch {
    return '';
  } finally {
    await handle?.close();
  }
}

async function startTicksOf(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The program's name stands in parentheses and may contain anything; the state follows it, the start time is field 22.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
}

async function readBounded(path: string): Promise<string> {
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4096), 0, 4096, null);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
