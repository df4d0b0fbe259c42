// agentctl pause and resume: no automatic change of the active node, for the whole cluster.
import { Command } from 'commander';
import type { CommandContext } from './context.ts';
import { giveOrder, ORDER_MS, operator } from './order.ts';

/** The command. Exit codes: 0 paused, 1 not every living node confirmed, 4 cannot ask, 6 result unknown. */
export function pauseCommand(ctx: CommandContext): Command {
  return switchOf(ctx, true);
}

/** The opposite. The same exit codes. */
export function resumeCommand(ctx: CommandContext): Command {
  return switchOf(ctx, false);
}

function switchOf(ctx: CommandContext, paused: boolean): Command {
  return new Command(paused ? 'pause' : 'resume')
    .option('--wait', 'until every living node has confirmed')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExit codes: 0 done, 1 not every living node confirmed, 4 cannot ask, 6 result unknown.')
    .action(async ({ wait = false, json = false }: { wait?: boolean; json?: boolean }) => {
      const command = { paused, by: operator(ctx), wait };
      await giveOrder(ctx, { timeoutMs: ORDER_MS, json, incomplete: 1, give: (agent) => agent.pause(command) });
    });
}
