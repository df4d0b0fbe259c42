// agentctl version: what is installed here.
import { Command } from 'commander';
import about from '../../package.json' with { type: 'json' };
import type { CommandContext } from './context.ts';
import { jsonText } from './json.ts';

/** The command. */
export function versionCommand(ctx: CommandContext): Command {
  return new Command('version').option('--json', 'print it as JSON').action((options: { json?: true }) => {
    const facts = { name: about.name, version: about.version, node: process.versions.node };
    ctx.out(options.json === true ? jsonText(facts) : `agentctl ${facts.version} (Node ${facts.node})\n`);
  });
}
