// Programs that the doctor asks, without a shell and bounded in time.
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

const RUN_MS = 3000;
const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What a program wrote; null when it is not there, failed or took too long. */
export function outputOf(program: string, args: readonly string[]): Promise<string | null> {
  return new Promise((resolve) => {
    const options = { timeout: RUN_MS, maxBuffer: 4 << 20, env: { PATH: searchPath, LC_ALL: 'C' } };
    execFile(program, args, options, (error, stdout) => resolve(error === null ? stdout : null));
  });
}

/** Which of these programs are installed. */
export function programs<Name extends string>(names: readonly Name[]): Readonly<Record<Name, boolean>> {
  return Object.fromEntries(names.map((name) => [name, searchPath.split(':').some((dir) => runs(join(dir, name)))])) as Record<
    Name,
    boolean
  >;
}

function runs(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
