// Runs programs by argv; no shell.
import { execFile, execFileSync } from 'node:child_process';

/** What a program left behind. `code` is -1 when it was killed or could not be started. */
export type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Options of `run`: what to write to its input, a time limit in ms (default 30,000), more environment. */
export type RunOptions = {
  readonly input?: string | undefined;
  readonly timeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
};

/** Runs a program to its end; never rejects, the caller looks at `code`. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const [file = '', ...args] = argv;
  return new Promise((resolve) => {
    const settings = {
      timeout: options.timeoutMs ?? 30_000,
      killSignal: 'SIGKILL' as const,
      maxBuffer: 16 << 20,
      ...environmentOf(options),
    };
    const child = execFile(file, args, settings, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      const note = code === -1 && stderr === '' ? `${error?.message ?? ''}` : '';
      resolve({ code, stdout, stderr: stderr + note });
    });
    child.stdin?.on('error', () => undefined); // it may end before it has read everything
    child.stdin?.end(options.input ?? '');
  });
}

/** Like `run`, but a non-zero code is an error that shows the command and what it said. */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const out = await run(argv, options);
  if (out.code !== 0) throw new Error(`${argv.join(' ')}: code ${out.code}: ${(out.stderr || out.stdout).trim()}`);
  return out.stdout;
}

/** Runs a program synchronously and returns its output, '' on any failure. For teardown, where nothing may be awaited. */
export function trySync(argv: readonly string[]): string {
  const [file = '', ...args] = argv;
  try {
    return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 10_000 });
  } catch {
    return '';
  }
}

function environmentOf(options: RunOptions): { env?: NodeJS.ProcessEnv; cwd?: string } {
  return { ...(options.env === undefined ? {} : { env: options.env }), ...(options.cwd === undefined ? {} : { cwd: options.cwd }) };
}
