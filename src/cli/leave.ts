// agentctl leave: the asked node leaves the cluster for good. agentctl forget: a node that is gone is taken out.
import { Command } from 'commander';
import type { CommandContext } from './context.ts';
import { giveOrder, ORDER_MS, operator } from './order.ts';

const exits = '\nExit codes: 0 done, 1 refused, 2 no holder, 4 cannot ask, 6 result unknown.';

/** The command. Exit codes: 0 done, 1 refused, 2 no holder, 4 cannot ask, 6 result unknown. */
export function leaveCommand(ctx: CommandContext): Command {
  return new Command('leave')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', exits)
    .action(async ({ json = false }: { json?: boolean }) => {
      const command = { by: operator(ctx) };
      const hints = { done: 'systemctl disable --now ollama-ha-agent: a started agent joins again' };
      await giveOrder(ctx, { timeoutMs: ORDER_MS, json, hints, give: (agent) => agent.leave(command) });
    });
}

/** The command. Exit codes: 0 done, 1 refused (still alive), 2 no holder, 4 cannot ask, 6 result unknown. */
export function forgetCommand(ctx: CommandContext): Command {
  return new Command('forget')
    .argument('<node>', 'id of the node that is gone')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', exits)
    .action(async (node: string, { json = false }: { json?: boolean }) => {
      const command = { node, by: operator(ctx) };
      const hints = { refused: 'agentctl status: only a dead node, or one that left, is forgotten' };
      await giveOrder(ctx, { timeoutMs: ORDER_MS, json, hints, give: (agent) => agent.forget(command) });
    });
}
