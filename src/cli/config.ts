// agentctl config check | show: is the file right, and what does it come to.
import { Command } from 'commander';
import { defaultConfigPath } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import type { CommandContext } from './context.ts';
import { jsonText } from './json.ts';
import { loadOrThrow } from './load.ts';
import { roomHere } from './room.ts';

/** The command with its two subcommands. Exit codes: 0 valid, 1 invalid. */
export function configCommand(ctx: CommandContext): Command {
  return new Command('config').addCommand(checkCommand(ctx)).addCommand(showCommand(ctx));
}

function checkCommand(ctx: CommandContext): Command {
  return new Command('check')
    .description(
      'check a configuration file and list every problem; touches nothing, and asks a running agent whether the timing has room here',
    )
    .argument('[file]', 'the file (default: that of --config)')
    .option('--json', 'print the result as JSON')
    .action(async (file: string | undefined, options: { json?: true }) => {
      const path = file ?? ctx.globals().config ?? defaultConfigPath;
      const { config } = await loadOrThrow(path, ctx.env);
      const warnings = await roomHere(config);
      if (options.json === true) return ctx.out(jsonText({ ok: true, file: path, node: config.node.id, roles: rolesOf(config), warnings }));
      return ctx.out([okText(path, config), ...warnings.map((warning) => `warning: ${warning}\n`)].join(''));
    });
}

function showCommand(ctx: CommandContext): Command {
  return new Command('show')
    .description('print what the file and the environment set; with --defaults every value in effect')
    .option('--defaults', 'also what presets and defaults add')
    .option('--json', 'print it as JSON')
    .action(async (options: { defaults?: true; json?: true }) => {
      const { config, set } = await loadOrThrow(ctx.globals().config ?? defaultConfigPath, ctx.env);
      const shown = options.defaults === true ? config : set;
      if (options.json === true) return ctx.out(jsonText(shown));
      const { stringify } = await import('yaml');
      return ctx.out(stringify(shown, { aliasDuplicateObjects: false }));
    });
}

function okText(path: string, config: Config): string {
  const { lease } = config;
  return `${path}: ok\n${config.node.id} in cluster ${config.cluster.name}: ${rolesOf(config).join(', ')}; lease ${lease.preset} ${lease.ttlMs}/${lease.renewMs}/${lease.pollMs} ms\n`;
}

function rolesOf(config: Config): readonly string[] {
  const votes = config.redis.managed && config.redis.voters.some((voter) => voter.id === config.node.id);
  return [
    ...(config.ollama === null ? (votes ? ['witness'] : ['observer']) : ['candidate']),
    ...(config.vip === null || config.vip.driver === 'none' ? [] : [`carries ${config.vip.addresses.join(', ')}`]),
    ...(votes ? [`votes (managed Redis on port ${config.redis.port})`] : []),
  ];
}
