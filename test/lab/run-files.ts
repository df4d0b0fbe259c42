// A host's /run lives in memory, and what is written there takes microseconds. Machines for tests often keep /run on a disk, where a rename
// waits for the disk: so a lab brings its own memory where it must.
import { existsSync, mkdirSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { trySync } from './command.ts';
import { runRoot } from './names.ts';

const tmpfsType = 0x01021994;
const sizeMiB = 64;

/** Makes the directory of a lab's run-time files, in memory. */
export function makeRunDirectory(id: string): void {
  const path = join(runRoot, id);
  mkdirSync(path, { recursive: true });
  if (statfsSync(path).type !== tmpfsType) trySync(['mount', '-t', 'tmpfs', '-o', `mode=755,size=${sizeMiB}m`, 'ollama-ha-lab', path]);
}

/** Takes that memory back, so that the directory can be removed. Quiet when it is not there. */
export function freeRunDirectory(id: string): void {
  const path = join(runRoot, id);
  if (existsSync(path) && statSync(path).dev !== statSync(dirname(path)).dev) trySync(['umount', '--lazy', path]);
}
