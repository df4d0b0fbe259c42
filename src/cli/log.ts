// agentctl log level: how much the running agent writes, without a restart.
import { Argument, Command } from 'commander';
import type { CommandContext } from './context.ts';
import { durationMs } from './moment.ts';
import { giveOrder, ORDER_MS, operator } from './order.ts';

/** The command with its one subcommand. Exit codes: 0 done, 4 cannot ask, 6 result unknown. */
export function logCommand(ctx: CommandContext): Command {
  return new Command('log').addCommand(
    new Command('level')
      .description('change the level of the running agent; `default` goes back to the configured one')
      .addArgument(new Argument('<level>').choices(['debug', 'info', 'warn', 'error', 'default']))
      .option('--for <time>', 'go back after this time: 10m, 1h', durationMs)
      .option('--json', 'print the result as JSON')
      .action(async (level: string, { for: forMs = 0, json = false }: { for?: number; json?: boolean }) => {
        const command = { level: level === 'default' ? '' : level, forMs: BigInt(forMs), by: operator(ctx) };
        await giveOrder(ctx, { timeoutMs: ORDER_MS, json, give: (agent) => agent.logLevel(command) });
      }),
  );
}
