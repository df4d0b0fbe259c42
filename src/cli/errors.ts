// The one kind of error an operator sees: what went wrong, where, what to try, and the exit code that says so to a script.

/** Thrown by any command; main.ts prints it as `agentctl: WHAT: WHERE` and `Try: HINT`, or as JSON, and returns `exitCode`. */
export class CliError extends Error {
  override readonly name = 'CliError';
  /** A short word for machines: unreachable, usage, invalid-config, ... */
  readonly code: string;
  /** File, socket, host or option the message is about; '' = nowhere in particular. */
  readonly where: string;
  /** What the operator can do; '' = nothing to add. */
  readonly hint: string;
  readonly exitCode: number;
  /** More for --json, such as every problem of a configuration. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(args: {
    readonly code: string;
    readonly message: string;
    readonly where?: string;
    readonly hint?: string;
    readonly exitCode?: number;
    readonly details?: Readonly<Record<string, unknown>>;
    readonly cause?: unknown;
  }) {
    super(args.message, { cause: args.cause });
    this.code = args.code;
    this.where = args.where ?? '';
    this.hint = args.hint ?? '';
    this.exitCode = args.exitCode ?? 1;
    this.details = args.details ?? {};
  }

  /** The same error under another exit code, where 1 would mean something else. */
  withExit(exitCode: number): CliError {
    const { code, message, where, hint, details, cause } = this;
    return new CliError({ code, message, where, hint, details, cause, exitCode });
  }
}

/** Exit code of a wrong command line; never a state of the cluster. */
export const EXIT_USAGE = 64;

/** Exit code when nothing could be asked: no agent reachable, no permission, time-out. */
export const EXIT_CANNOT_ASK = 4;

/** Exit code of Ctrl-C where questions were being asked. */
export const EXIT_INTERRUPTED = 130;
