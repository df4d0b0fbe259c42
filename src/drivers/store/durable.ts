// Durable changes on a file system: data first, then the name, then the directory that holds the name.
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { chmod, chown, type FileHandle, lstat, mkdir, open, rename } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DIRECTORY_MODE } from './layout.ts';

/** Who owns what the agent creates: the owner of the store's root. */
export type Owner = { readonly uid: number; readonly gid: number };

/** Opens an existing regular file, never a link. */
export async function openRegular(file: string, flags: number): Promise<FileHandle> {
  const handle = await open(file, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const stat = await handle.stat();
  if (stat.isFile()) return handle;
  await handle.close();
  throw new Error(`${file} is not a regular file`);
}

/** Writes a new file and flushes it. An existing one of that name is replaced. */
export async function writeDurably(file: string, bytes: Uint8Array, mode: number, owner: Owner): Promise<void> {
  const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW, mode);
  try {
    await handle.writeFile(bytes);
    await handle.chmod(mode);
    await giveTo(handle, owner);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Changes the owner when it differs. */
async function giveTo(handle: FileHandle, owner: Owner): Promise<void> {
  const stat = await handle.stat();
  if (stat.uid !== owner.uid || stat.gid !== owner.gid) await handle.chown(owner.uid, owner.gid);
}

/** Makes the names in a directory durable. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Makes `dir` below `top` step by step, refusing links on the way; new directories get mode 0755 and the owner. `top` must exist. Not durable
 * by itself: see syncUpTo.
 */
export async function makeDirectories(top: string, dir: string, owner: Owner): Promise<void> {
  let at = top;
  for (const step of relative(top, dir).split(sep)) {
    at = step === '' ? at : join(at, step);
    const made = await mkdir(at).then(
      () => true,
      (error: unknown) => {
        if (codeOf(error) === 'EEXIST') return false;
        throw error;
      },
    );
    if (made) await dress(at, owner);
    else if (!(await lstat(at)).isDirectory()) throw new Error(`${at} is not a directory; nothing is written through links`);
  }
}

async function dress(dir: string, owner: Owner): Promise<void> {
  await chmod(dir, DIRECTORY_MODE);
  const stat = await lstat(dir);
  if (stat.uid !== owner.uid || stat.gid !== owner.gid) await chown(dir, owner.uid, owner.gid);
}

/** Makes the names of `dir` and of everything above it durable, `top` included. */
export async function syncUpTo(top: string, dir: string): Promise<void> {
  await syncDirectory(dir);
  if (dir !== top) await syncUpTo(top, dirname(dir));
}

/**
 * Renames a flushed file into place, `prepare` first; again when the directory vanished in between, as Ollama prunes empty ones.
 * False, and nothing renamed, when `prepare` says so. The caller makes the name durable.
 */
export async function renameInto(from: string, to: string, prepare: () => Promise<boolean>): Promise<boolean> {
  for (let round = 1; ; round += 1) {
    try {
      if (!(await prepare())) return false;
      await rename(from, to);
      return true;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || round === RENAME_ROUNDS) throw error;
    }
  }
}

/** The system's code of an error (`ENOSPC`), '' when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Makes an open file durable. */
export type Flush = (handle: FileHandle) => Promise<void>;

/**
 * Flushes files of one file system, many at once: those that come while a flush runs share the next one. From BATCH_FILES on that is one
 * `sync -f` (syncfs) instead of a journal commit for each; should it fail (false), each file is flushed by itself.
 */
export function openFlush(syncFileSystem: () => Promise<boolean>): Flush {
  let waiting: { readonly handle: FileHandle; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  let running = false;
  const run = async (): Promise<void> => {
    running = true;
    for (let batch = waiting; batch.length > 0; batch = waiting) {
      waiting = [];
      const whole = batch.length >= BATCH_FILES && (await syncFileSystem());
      await Promise.all(batch.map(({ handle, resolve, reject }) => (whole ? resolve() : handle.sync().then(resolve, reject))));
      // Where so many came there are more: they gather meanwhile.
      if (whole) await pause(GATHER_MS);
    }
    running = false;
  };
  return (handle) =>
    new Promise((resolve, reject) => {
      waiting.push({ handle, resolve, reject });
      if (!running) void run();
    });
}

/**
 * Flushes a whole file system; false: it could not be done. Starting a process blocks its thread, on a busy machine for a third of a second:
 * never call it from the main thread.
 */
export function syncFileSystem(root: string): Promise<boolean> {
  return new Promise((resolve) => {
    execFile('sync', ['--file-system', root], { env: { PATH: '/usr/bin:/bin' } }, (error) => resolve(error === null));
  });
}

const BATCH_FILES = 4;
const GATHER_MS = 60;
const RENAME_ROUNDS = 50;
