// agentctl keepalived install: our part as a file of its own. A keepalived.conf that an operator wrote is read, never changed.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { type KeepalivedOptions, OURS, renderIncluded, renderMain, requiredGlobals } from '../core/vip/keepalived-conf.ts';
import { CliError } from './errors.ts';
import { plainText, readOr, readWhole } from './keepalived-file.ts';

/** What was done, one line each, and what is left to the operator. */
export type Installed = { readonly done: readonly string[]; readonly todo: readonly string[] };

/** Writes `ollama-ha.conf` and, where none of the operator's own stands there, `keepalived.conf` into `dir`. Throws a CliError. */
export function installKeepalived(options: KeepalivedOptions, dir: string): Installed {
  const part = join(dir, 'ollama-ha.conf');
  const main = join(dir, 'keepalived.conf');
  const included = renderIncluded(options);
  const before = readOr(part);
  if (before !== null && !before.startsWith(OURS)) {
    throw new CliError({
      code: 'refused',
      message: 'it is there, and not ours',
      where: part,
      hint: 'move it away, or name another directory with --dir',
    });
  }
  const own = readOr(main);
  put(part, included, dir);
  if (own !== null && !own.startsWith(OURS))
    return { done: [`${part}: written`, `${main}: yours, left as it is`], todo: todoOf(options, main, part) };
  put(main, renderMain(options, part), dir);
  return { done: [`${part}: written`, `${main}: written, includes it`], todo: [] };
}

/** What an operator's file lacks: the include, and options that can only stand in its own `global_defs`. */
function todoOf(options: KeepalivedOptions, main: string, part: string): readonly string[] {
  const whole = readWhole(main);
  const includes = whole?.files.includes(part) === true;
  const plain = plainText(whole?.text ?? '');
  const foreignFifo = /\bvrrp_notify_fifo\s/.test(plain) && !plain.includes(`${options.runDir}/keepalived.fifo`);
  const lines = requiredGlobals(options)
    // keepalived has two kinds of FIFO, and the operator uses this one.
    .map((line) => (foreignFifo ? line.replace('vrrp_notify_fifo', 'notify_fifo') : line))
    .filter((line) => !has(plain, line));
  return [...(includes ? [] : [`add to ${main}: include ${part}`]), ...lines.map((line) => `add to its global_defs: ${line}`)];
}

// Another value of the operator's own is a decision of theirs, except for the FIFO, without which the agent sees no keepalived.
function has(plain: string, line: string): boolean {
  const words = line.split(' ');
  const wanted = line.includes('notify_fifo') ? words.slice(0, 2) : words.slice(0, 1);
  return new RegExp(`(^|\\s)${wanted.map((word) => word.replaceAll(/[.]/g, '\\.')).join('\\s+')}(\\s|$)`).test(plain);
}

function put(path: string, text: string, dir: string): void {
  try {
    mkdirSync(dir, { recursive: true });
    // keepalived ignores an executable file without an error.
    writeFileAtomic.sync(path, text, { mode: 0o644 });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'error';
    throw new CliError({
      code: 'io',
      message: `cannot write it (${code})`,
      where: path,
      hint: 'run as root, or name another --dir',
      cause,
    });
  }
}
