// Runs agentctl in this process, with a terminal made of memory.
import { runAgentctl } from '../../src/cli/main.ts';

/** What a run wrote, and its exit code. */
export type Ran = { readonly code: number; readonly out: string; readonly err: string };

/** Settings of a run; by default no terminal, no environment. */
export type RunOptions = {
  readonly env?: Record<string, string>;
  readonly isTty?: boolean;
  readonly columns?: number;
  /** Answers to questions, in order; a missing one is an empty line. */
  readonly answers?: readonly string[];
  readonly signal?: AbortSignal;
  readonly onOut?: (text: string) => void;
};

/** Runs one command line. */
export async function agentctl(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  let out = '';
  let err = '';
  const answers = [...(options.answers ?? [])];
  const code = await runAgentctl(argv, {
    out: (text) => {
      out += text;
      options.onOut?.(text);
    },
    err: (text) => {
      err += text;
    },
    env: options.env ?? {},
    isTty: options.isTty ?? false,
    columns: options.columns ?? 100,
    ...(options.answers === undefined ? {} : { ask: async () => answers.shift() ?? '' }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  return { code, out, err };
}
