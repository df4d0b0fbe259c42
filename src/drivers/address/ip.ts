// Runs `ip`: one process for a whole list of changes.
import { execFile } from 'node:child_process';

/** How a run went; `text` is what the program printed. */
export type RunOutcome = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly why: string };

const LIMIT_MS = 500;
const OUTPUT_BYTES_MAX = 256 * 1024;

/** Applies the lines in their order. `all`: goes on after a line that failed. Never rejects. */
export function ipBatch(lines: readonly string[], all = false): Promise<RunOutcome> {
  return run('ip', [...(all ? ['-force'] : []), '-batch', '-'], LIMIT_MS, `${lines.join('\n')}\n`);
}

/** Runs a program, killed after `limitMs`. Never rejects. */
export function run(program: string, args: readonly string[], limitMs = LIMIT_MS, input = ''): Promise<RunOutcome> {
  return new Promise((resolve) => {
    const options = { timeout: limitMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_BYTES_MAX } as const;
    const child = execFile(program, [...args], options, (error, text, err) => {
      if (error === null) return resolve({ ok: true, text });
      const said = err.split('\n').find((line) => line.trim() !== '') ?? error.message;
      resolve({ ok: false, why: error.killed ? `${program} did not end within ${limitMs} ms` : said });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}
