// Ends labs. Synchronous on purpose: it also runs in signal handlers and when the process exits.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { trySync } from './command.ts';
import { dataRoot, labIdOf, monoMs, runRoot } from './names.ts';
import { freeRunDirectory } from './run-files.ts';

const killDeadlineMs = 10_000;

/** Ids of all labs of which anything is left on this machine. */
export function listLabs(): string[] {
  const ids = namespaces().map(labIdOf);
  for (const root of [runRoot, dataRoot]) if (existsSync(root)) ids.push(...readdirSync(root));
  return [...new Set(ids.filter((id) => id !== null))].sort();
}

/** Kills everything in a lab's namespaces and removes namespaces and files. Quiet when there is nothing. */
export function destroyLab(id: string): void {
  const mine = namespaces().filter((name) => labIdOf(name) === id);
  for (const namespace of mine) killAll(namespace);
  for (const namespace of mine) {
    trySync(['ip', 'netns', 'del', namespace]);
    rmSync(`/etc/netns/${namespace}`, { recursive: true, force: true });
  }
  freeRunDirectory(id);
  for (const root of [runRoot, dataRoot]) {
    rmSync(join(root, id), { recursive: true, force: true });
    removeIfEmpty(root);
  }
  removeIfEmpty('/etc/netns');
}

/** Kills all processes of a namespace until none is left: a parent may start another while its children die. */
export function killAll(namespace: string): void {
  const deadline = monoMs() + killDeadlineMs;
  for (;;) {
    const pids = pidsIn(namespace);
    if (pids.length === 0) return;
    for (const pid of pids) signal(pid, 'SIGKILL');
    if (monoMs() > deadline) throw new Error(`${namespace}: processes ${pids.join(', ')} do not end`);
  }
}

/** Pids of all processes in a namespace. */
export function pidsIn(namespace: string): number[] {
  return trySync(['ip', 'netns', 'pids', namespace])
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 1);
}

/** Sends a signal; a process that is gone already is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Labs that end with this process, each with the pid of its janitor. */
const open = new Map<string, number>();

/**
 * Promises that the lab ends with this process, however it ends: at once by handlers of ours, and by a janitor of its own session when this
 * process was killed too hard for that.
 */
export function destroyAtExit(id: string): void {
  installHandlers();
  mkdirSync(join(runRoot, id), { recursive: true });
  writeFileSync(ownerFile(id), String(process.pid));
  const args = [join(import.meta.dirname, 'janitor.ts'), id, String(process.pid)];
  const janitor = spawn(process.execPath, args, { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'inherit'] });
  janitor.unref();
  if (janitor.stdin instanceof Socket) janitor.stdin.unref();
  open.set(id, janitor.pid ?? 0);
}

/** Takes the promise back: the lab was destroyed, or is to outlive this process. */
export function forgetAtExit(id: string): void {
  const janitor = open.get(id) ?? 0;
  open.delete(id);
  if (janitor > 1) signal(janitor, 'SIGKILL');
}

/** Whether the lab is still the one that this process built: after its death another may have built a new one of the same id. */
export function isOwnedBy(id: string, pid: number): boolean {
  return existsSync(ownerFile(id)) && readFileSync(ownerFile(id), 'utf8') === String(pid);
}

function ownerFile(id: string): string {
  return join(runRoot, id, 'owner');
}

let installed = false;

function installHandlers(): void {
  if (installed) return;
  installed = true;
  process.on('exit', destroyOpen);
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => {
      destroyOpen();
      process.kill(process.pid, name); // the handler is gone: end as the signal asks
    });
  }
}

function destroyOpen(): void {
  for (const id of [...open.keys()]) {
    destroyLab(id);
    forgetAtExit(id);
  }
}

function namespaces(): string[] {
  return trySync(['ip', 'netns', 'list'])
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((name) => labIdOf(name) !== null);
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Not empty, or not there: another lab's, or nothing to do.
  }
}
