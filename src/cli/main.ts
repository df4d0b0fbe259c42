// agentctl: arguments in, exit code out. Ends no process and reads no global: the executable hands everything in.
import { Command, CommanderError } from 'commander';
import { defaultConfigPath } from '../config/places.ts';
import type { CliIo, CommandContext } from './context.ts';
import { CliError, EXIT_USAGE } from './errors.ts';
import { addGlobalsToCommand, addGlobalsToProgram, type GlobalOptions, globalsOf } from './globals.ts';
import { type Entry, registry } from './registry.ts';
import { errorJson, errorText } from './report.ts';

/** Runs agentctl with the arguments after its name. Resolves to the exit code; never throws for what an operator can cause. */
export async function runAgentctl(argv: readonly string[], io: CliIo): Promise<number> {
  const run: Run = { globals: { color: true }, exitCode: 0 };
  try {
    const program = await programFor(argv, io, run);
    await program.parseAsync([...argv], { from: 'user' });
    return run.exitCode;
  } catch (thrown) {
    const error = asCliError(thrown, argv);
    if (error === null) return run.exitCode;
    const json = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : undefined).includes('--json');
    if (json) io.out(`${JSON.stringify(errorJson(error), null, 2)}\n`);
    else io.err(errorText(error));
    return error.exitCode;
  }
}

type Run = { globals: GlobalOptions; exitCode: number };

/** The program with every command loaded: for pages about it. */
export function wholeProgram(io: CliIo): Promise<Command> {
  return programFor(['completion'], io, { globals: { color: true }, exitCode: 0 });
}

async function programFor(argv: readonly string[], io: CliIo, run: Run): Promise<Command> {
  const program = new Command('agentctl')
    .description('Shows and steers an ollama-ha cluster.')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err, outputError: () => undefined })
    .configureHelp({ helpWidth: Math.min(io.columns, 120) })
    .hook('preAction', (_program, action) => {
      run.globals = globalsOf(action);
    });
  addGlobalsToProgram(program);
  const wanted = wantedName(argv, program);
  const all = wanted === 'complete' || wanted === 'completion';
  for (const entry of registry) {
    program.addCommand(
      all || entry.name === wanted ? await loaded(entry, contextOf(io, run)) : new Command(entry.name).description(entry.summary),
    );
  }
  if (all) (await import('./completion.ts')).addCompletion(program);
  else program.addCommand(new Command('completion').description('print the completion script of a shell'));
  for (const command of program.commands) inherit(command, program);
  return program;
}

async function loaded(entry: Entry, ctx: CommandContext): Promise<Command> {
  const command = (await entry.load())(ctx);
  if (command.description() === '') command.description(entry.summary);
  addGlobalsToCommand(command, entry.scope);
  return command;
}

function inherit(command: Command, parent: Command): void {
  command.copyInheritedSettings(parent);
  for (const inner of command.commands) inherit(inner, command);
}

function contextOf(io: CliIo, run: Run): CommandContext {
  return {
    ...io,
    globals: () => run.globals,
    setExit: (code) => {
      run.exitCode = code;
    },
    loadConfig: async () => {
      const { loadOrThrow } = await import('./load.ts');
      return (await loadOrThrow(run.globals.config ?? defaultConfigPath, io.env)).config;
    },
  };
}

// The first word that is neither an option nor an option's value; of `help COMMAND` the command.
function wantedName(argv: readonly string[], program: Command): string | undefined {
  const valued = new Set(program.options.filter((option) => option.required).map((option) => option.long));
  const words: string[] = [];
  for (let at = 0; at < argv.length && words.length < 2; at++) {
    const word = argv[at] ?? '';
    if (valued.has(word)) at++;
    else if (!word.startsWith('-')) words.push(word);
  }
  return words[0] === 'help' ? words[1] : words[0];
}

// Null: not an error (help was asked for).
function asCliError(thrown: unknown, argv: readonly string[]): CliError | null {
  if (thrown instanceof CliError) return thrown;
  if (thrown instanceof CommanderError) return usageError(thrown);
  if (isConfigError(thrown)) {
    const [first] = thrown.problems;
    return new CliError({
      code: 'config',
      message: first?.message ?? thrown.message,
      where: first?.source ?? '',
      hint: first?.hint ?? '',
      cause: thrown,
    });
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const hint = `this is a fault of agentctl; report it with the command line: agentctl ${argv.join(' ')}`;
  return new CliError({ code: 'internal', message: `internal error: ${message.split('\n')[0]}`, hint, exitCode: 70, cause: thrown });
}

// The class lies behind zod-free but lazily loaded modules; its name is enough here.
function isConfigError(thrown: unknown): thrown is Error & { problems: readonly { message: string; source: string; hint: string }[] } {
  return thrown instanceof Error && thrown.name === 'ConfigError' && 'problems' in thrown;
}

function usageError(error: CommanderError): CliError | null {
  if (error.exitCode === 0) return null;
  const usage = (message: string, hint: string) => new CliError({ code: 'usage', message, hint, exitCode: EXIT_USAGE });
  if (error.code === 'commander.help') return usage('no command was given', 'agentctl status, or one of the commands above');
  const [what = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const meant = /Did you mean (?:one of )?(.+?)\?\)/.exec(rest.join(' '))?.[1];
  if (meant === undefined) return usage(what, 'agentctl --help, or agentctl COMMAND --help');
  return usage(what, error.code === 'commander.unknownCommand' ? `agentctl ${meant}` : meant);
}
