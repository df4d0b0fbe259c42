// agentctl init: a working agent.yaml for this node, from options or, on a terminal, from a few questions.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command, Option } from 'commander';
import { defaultConfigPath } from '../config/places.ts';
import { presetNames } from '../config/presets.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { count } from './globals.ts';
import { answersFrom, type InitOptions } from './init-answers.ts';
import { jsonText } from './json.ts';

/** The command. The file goes where --config says. */
export function initCommand(ctx: CommandContext): Command {
  return new Command('init')
    .option('--node <id>', 'id of this node (default: the host name)')
    .option('--cluster <name>', 'name of the cluster')
    .option('--nodes <id=address,...>', 'the Ollama nodes, this one included')
    .option('--witness <id=address>', 'a third vote without Ollama, for two Ollama nodes')
    .option('--vip <address/prefix>', 'the virtual address; "none" for a cluster without one')
    .option('--interface <name>', 'interface that carries it')
    .option('--router-id <number>', 'VRRP id, unique in the network segment (default: 77)', count(255))
    .addOption(new Option('--preset <name>', 'timing of the lease').choices(presetNames).default('standard'))
    .option('--store <directory>', "Ollama's model store", '/usr/share/ollama/.ollama/models')
    .option('--pki <directory>', 'where the certificates lie', '/etc/ollama-ha/pki')
    .option('--secret-file <file>', 'where the cluster secret lies', '/etc/ollama-ha/secret')
    .option('--secret', 'make the secret file too (on the first node; copy it to the others)')
    .option('--force', 'overwrite an existing file')
    .option('--json', 'print the result as JSON')
    .action(async (options: InitOptions) => await init(ctx, options));
}

async function init(ctx: CommandContext, options: InitOptions): Promise<void> {
  const path = ctx.globals().config ?? defaultConfigPath;
  if (existsSync(path) && options.force !== true) {
    throw new CliError({
      code: 'exists',
      message: 'will not overwrite',
      where: path,
      hint: 'add --force, or write elsewhere with --config FILE',
    });
  }
  const { answers, makeSecret } = await answersFrom(ctx, options);
  const [{ agentYaml }, { parseConfig }] = await Promise.all([import('../config/template.ts'), import('../config/load.ts')]);
  const text = agentYaml(answers);
  const checked = parseConfig(text, path, {}, answers.node);
  if ('problems' in checked) {
    const message = checked.problems.map((problem) => `${problem.path}: ${problem.message}\n  Try: ${problem.hint}`).join('\n');
    const details = { problems: checked.problems };
    throw new CliError({ code: 'config', message: `these answers make no working configuration\n${message}`, where: path, details });
  }
  write(path, text, 0o644, true);
  const secret = makeSecret ? secretAt(options.secretFile) : 'kept';
  ctx.out(
    options.json === true
      ? jsonText({ file: path, node: answers.node, secretFile: options.secretFile, secret })
      : done(ctx, path, options, secret),
  );
}

// An existing secret is never replaced: the other nodes know it already.
function secretAt(path: string): 'made' | 'kept' {
  if (existsSync(path)) return 'kept';
  write(path, `${randomBytes(32).toString('hex')}\n`, 0o600, false);
  return 'made';
}

function write(path: string, text: string, mode: number, replace: boolean): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text, { mode, flag: replace ? 'w' : 'wx' });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new CliError({
      code: 'write',
      message: `cannot be written (${code})`,
      where: path,
      hint: 'run as root, or write elsewhere with --config FILE',
      cause,
    });
  }
}

function done(ctx: CommandContext, path: string, options: InitOptions, secret: 'made' | 'kept'): string {
  const missing = !existsSync(options.secretFile);
  return [
    `wrote ${path}`,
    ...(secret === 'made' ? [`made ${options.secretFile}; copy it to every other node, mode 0600`] : []),
    'next:',
    ...(missing ? [`  the cluster secret, the same on every node: ${options.secretFile} (agentctl init --secret makes one)`] : []),
    ...(existsSync(`${options.pki}/node.crt`)
      ? []
      : [`  the node's certificate in ${options.pki}: agentctl pki init, then agentctl pki issue`]),
    `  agentctl${ctx.globals().config === undefined ? '' : ` --config ${path}`} config check`,
    '',
  ].join('\n');
}
