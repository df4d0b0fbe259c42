// agentctl maintenance, drain and undrain: keep the active role away from a node.
import { Argument, Command } from 'commander';
import type { CommandContext } from './context.ts';
import { durationMs } from './moment.ts';
import { giveOrder, ORDER_MS, operator } from './order.ts';

/** How long open requests are waited for unless --deadline says otherwise. */
const deadlineMs = 60_000;

/** The command. Exit codes: 0 done, 1 refused or not confirmed, 4 cannot ask, 6 result unknown. */
export function maintenanceCommand(ctx: CommandContext): Command {
  return new Command('maintenance')
    .addArgument(new Argument('<state>', 'the role leaves the node at once, or may come back').choices(['on', 'off']))
    .argument('[node]', 'id of the node (default: the asked one)')
    .option('--wait', 'until every living node has confirmed')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExit codes: 0 done, 1 refused or not confirmed, 4 cannot ask, 6 result unknown.')
    .action(async (state: 'on' | 'off', node: string | undefined, { wait = false, json = false }: { wait?: boolean; json?: boolean }) => {
      const command = { node: node ?? '', on: state === 'on', by: operator(ctx), wait, drain: false, drainMs: 0n };
      await giveOrder(ctx, { timeoutMs: ORDER_MS, json, incomplete: 1, give: (agent) => agent.maintenance(command) });
    });
}

/** The command. Exit codes: 0 drained, 1 refused, or the deadline passed with requests open, 4 cannot ask, 6 result unknown. */
export function drainCommand(ctx: CommandContext): Command {
  return new Command('drain')
    .argument('[node]', 'id of the node (default: the asked one)')
    .option('--deadline <time>', 'wait for open requests so long at most, such as 30s or 5m (default: 60s)', durationMs, deadlineMs)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExit codes: 0 drained, 1 refused or deadline passed with requests open, 4 cannot ask, 6 result unknown.')
    .action(async (node: string | undefined, { deadline, json = false }: { deadline: number; json?: boolean }) => {
      const command = { node: node ?? '', on: true, by: operator(ctx), wait: false, drain: true, drainMs: BigInt(deadline) };
      await giveOrder(ctx, { timeoutMs: deadline + ORDER_MS, json, incomplete: 1, give: (agent) => agent.maintenance(command) });
    });
}

/** The command. Exit codes: 0 done, 1 refused, 4 cannot ask, 6 result unknown. */
export function undrainCommand(ctx: CommandContext): Command {
  return new Command('undrain')
    .argument('[node]', 'id of the node (default: the asked one)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExit codes: 0 done, 1 refused, 4 cannot ask, 6 result unknown.')
    .action(async (node: string | undefined, { json = false }: { json?: boolean }) => {
      const command = { node: node ?? '', on: false, by: operator(ctx), wait: false, drain: false, drainMs: 0n };
      await giveOrder(ctx, { timeoutMs: ORDER_MS, json, incomplete: 1, give: (agent) => agent.maintenance(command) });
    });
}
