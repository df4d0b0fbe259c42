// The terminal and environment of the running process, as the commands see them.
import type { CliIo } from './context.ts';
import { CliError, EXIT_INTERRUPTED } from './errors.ts';

/** Everything agentctl needs of a process. Nothing is written after the reader of a pipe has gone (`agentctl status | head -1`). */
export function processIo(source: NodeJS.Process): CliIo {
  source.stdout.on('error', () => undefined);
  source.stderr.on('error', () => undefined);
  const questions = source.stdin.isTTY === true && source.stdout.isTTY === true;
  return {
    out: (text) => void source.stdout.write(text),
    err: (text) => void source.stderr.write(text),
    env: source.env,
    isTty: source.stdout.isTTY === true,
    columns: source.stdout.columns ?? 100,
    ...(questions ? { ask: (question: string) => askOn(source, question) } : {}),
  };
}

async function askOn(source: NodeJS.Process, question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: source.stdin, output: source.stdout });
  const gone = new Promise<never>((_, reject) => {
    terminal.once('close', () =>
      reject(new CliError({ code: 'interrupted', message: 'interrupted; nothing was written', exitCode: EXIT_INTERRUPTED })),
    );
  });
  try {
    return await Promise.race([terminal.question(question), gone]);
  } finally {
    terminal.close();
  }
}
