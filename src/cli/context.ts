// What every command of agentctl is given: its way to the configuration, to the agent and to the operator.
import type { Config } from '../config/schema.ts';
import type { GlobalOptions } from './globals.ts';

/** Where a command's text goes and what kind of terminal it is; process-io.ts fills it from the process, tests from memory. */
export type CliIo = {
  /** Writes to standard output, as given (no newline is added). */
  readonly out: (text: string) => void;
  /** Writes to standard error, as given (no newline is added). */
  readonly err: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard output is a terminal: colours are allowed. */
  readonly isTty: boolean;
  /** Width of the terminal in characters; 100 when there is none. */
  readonly columns: number;
  /** Asks the operator one question; absent when nobody sits there. */
  readonly ask?: (question: string) => Promise<string>;
  /** Program and first arguments that start this agentctl again; absent: it cannot be. */
  readonly self?: readonly string[];
  /** Ends what runs until it is stopped, such as `status --watch`. */
  readonly signal?: AbortSignal;
};

/**
 * What a command gets. `loadConfig` reads the file of `--config` with the environment's overrides and throws a CliError that lists every problem.
 * A command that fails throws a CliError, whose exitCode agentctl returns; process.exitCode is not looked at.
 */
export type CliContext = CliIo & {
  readonly loadConfig: () => Promise<Config>;
};

/** What the commands of this folder's registry get besides. */
export type CommandContext = CliContext & {
  /** Options that stand before or after any command; known once its action runs. */
  readonly globals: () => GlobalOptions;
  /** Exit code of agentctl when the action ends without an error. */
  readonly setExit: (code: number) => void;
};
