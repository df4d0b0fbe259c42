// Options that every command takes, before its name or after it: which configuration, which agent, how to talk to it.
import { type Command, InvalidArgumentError, Option } from 'commander';

/** Global options as the operator gave them; absent = not given. */
export type GlobalOptions = {
  readonly config?: string;
  readonly socket?: string;
  /** HOST[:PORT] or a node's id: ask this agent over TLS instead of the local one. */
  readonly host?: string;
  /** Id of the node behind `host`, where the configuration does not tell. */
  readonly node?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly timeoutMs?: number;
  readonly color: boolean;
};

/** Which of them a command uses: `local` ones need no agent. */
export type GlobalScope = 'agent' | 'local';

const localOptions = [
  ['--config <file>', 'configuration file (default: /etc/ollama-ha/agent.yaml)'],
  ['--no-color', 'no colours, also on a terminal'],
] as const;

const agentOptions = [
  ['--socket <path>', "the local agent's socket (default: agent.sock in paths.run)"],
  ['--host <host[:port]>', 'ask another agent over TLS: a node id of cluster.nodes, or an address'],
  ['--node <id>', 'node id in the certificate of --host, when it is an unlisted address'],
  ['--ca <file>', 'CA certificate for --host (default: pki.ca)'],
  ['--cert <file>', 'client certificate for --host (default: pki.cert)'],
  ['--key <file>', 'its private key (default: pki.key)'],
  ['--timeout <seconds>', 'longest wait for the answer (default: 5, switchover: 60)'],
] as const;

/** Adds them to the program itself, visible in its help. */
export function addGlobalsToProgram(program: Command): void {
  for (const option of optionsOf('agent')) program.addOption(option);
}

/** Adds them to a command and those below it, so that they may also stand after its name. Own options of the same name win. */
export function addGlobalsToCommand(command: Command, scope: GlobalScope): void {
  if (command.commands.length > 0) {
    for (const inner of command.commands) addGlobalsToCommand(inner, scope);
    return;
  }
  const own = new Set(command.options.map((option) => option.long));
  for (const option of optionsOf(scope)) if (!own.has(option.long)) command.addOption(option);
}

/** The global options in effect for a command whose action is about to run; the ones after its name win. */
export function globalsOf(command: Command): GlobalOptions {
  const merged: Record<string, unknown> = {};
  let color = true;
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const given = at.opts<Record<string, unknown>>();
    color &&= given.color !== false;
    for (const [name, value] of Object.entries(given)) merged[name] ??= value;
  }
  const { config, socket, host, node, ca, cert, key, timeout } = merged;
  return {
    ...text({ config, socket, host, node, ca, cert, key }),
    ...(typeof timeout === 'number' ? { timeoutMs: timeout * 1000 } : {}),
    color,
  };
}

function optionsOf(scope: GlobalScope): Option[] {
  const specs = scope === 'agent' ? [...localOptions, ...agentOptions] : localOptions;
  return specs.map(([flags, description]) => {
    const option = new Option(flags, description).helpGroup('Global options:');
    return flags.startsWith('--timeout') ? option.argParser(seconds) : option;
  });
}

/** Parses a positive number of seconds of at most an hour. */
export function seconds(value: string): number {
  const number = Number(value);
  if (!Number.isFinite(number) || number <= 0 || number > 3600)
    throw new InvalidArgumentError('It must be a number of seconds, such as 5 or 0.5.');
  return number;
}

/** Parses a whole number from 1 to `most`. */
export function count(most: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!Number.isInteger(number) || number < 1 || number > most)
      throw new InvalidArgumentError(`It must be a whole number from 1 to ${most}.`);
    return number;
  };
}

function text(values: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
