// agentctl failover --force: make a node active where nobody is and nobody may by its own judgement.
import { Command } from 'commander';
import type { CommandContext } from './context.ts';
import { CliError, EXIT_USAGE } from './errors.ts';
import { giveOrder, ORDER_MS, operator } from './order.ts';

/** The command. Exit codes as of switchover: 0 done, 1 refused, 2 nothing done, 4 cannot ask, 5 done but incomplete, 6 result unknown. */
export function failoverCommand(ctx: CommandContext): Command {
  return new Command('failover')
    .option('--force', 'needed: nofailover, missing models and the state of Ollama are not looked at for one claim')
    .option('--to <node>', 'the node that shall become active (default: the best living candidate)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExit codes: 0 done, 1 refused, 2 nothing done, 4 cannot ask, 5 done but incomplete, 6 result unknown.')
    .action(async ({ force, to = '', json = false }: { force?: true; to?: string; json?: boolean }) => {
      if (force !== true) {
        const hint = 'with a holder: agentctl switchover; without one the cluster elects by itself, and agentctl explain NODE says why not';
        throw new CliError({ code: 'usage', message: 'failover needs --force', hint, exitCode: EXIT_USAGE });
      }
      const command = { to, by: operator(ctx) };
      await giveOrder(ctx, { timeoutMs: ORDER_MS, json, give: (agent) => agent.failover(command) });
    });
}
