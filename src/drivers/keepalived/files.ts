// keepalived's track files. Each write is a temporary file and a rename in the same directory: a file written in place would be read half.
import { chmodSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { deadlineCs, readUptimeMs } from './uptime.ts';

/** How a write went. */
export type FileOutcome = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** The files that keepalived and its script follow. */
export type Files = {
  deadline(enforceAt: number): FileOutcome;
  epoch(epoch: number): FileOutcome;
  lease(held: boolean): FileOutcome;
};

// Epochs wrap here, so that priority 3 + epoch stays below 255.
const EPOCH_MODULUS = 250;

/**
 * Opens the files in `dir`. `onRecreated` is called when the directory is not the one of the first write any more: keepalived's watch on
 * it is dead then, until it reloads. `now` is CLOCK_MONOTONIC in ms.
 */
export function openFiles(options: {
  readonly dir: string;
  readonly now: () => number;
  readonly onRecreated: () => void;
  readonly uptimeMs?: () => number;
}): Files {
  const { dir, now } = options;
  const uptimeMs = options.uptimeMs ?? readUptimeMs;
  let inode: number | null = null;

  function put(name: string, text: () => string): FileOutcome {
    try {
      watchInode();
      writeFileSync(`${dir}/.${name}.new`, text());
      // Whatever the umask: the dead-man script reads them as nobody, and passes where it can read nothing.
      chmodSync(`${dir}/.${name}.new`, 0o644);
      renameSync(`${dir}/.${name}.new`, `${dir}/${name}`);
      return { ok: true };
    } catch (error) {
      return { ok: false, why: `${dir}/${name}: ${error instanceof Error ? error.message : String(error)}` };
    }
  }

  function watchInode(): void {
    const found = statSync(dir, { throwIfNoEntry: false });
    if (found === undefined) mkdirSync(dir, { recursive: true, mode: 0o755 });
    const current = (found ?? statSync(dir)).ino;
    if (inode !== null && current !== inode) options.onRecreated();
    inode = current;
  }

  return {
    deadline: (enforceAt) => put('deadline', () => `${deadlineCs({ uptimeMs: uptimeMs(), monoMs: now() }, enforceAt)}\n`),
    epoch: (epoch) => put('epoch', () => `${epoch % EPOCH_MODULUS}\n`),
    lease: (held) => put('lease', () => (held ? '1\n' : '0\n')),
  };
}
