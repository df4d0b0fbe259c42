// agentctl switchover: a planned move of the active role, now or at a time, and what came of it.
import { Command } from 'commander';
import type { CommandContext } from './context.ts';
import { CliError, EXIT_USAGE } from './errors.ts';
import { instant } from './format.ts';
import { momentMs } from './moment.ts';
import { giveOrder, ORDER_MS, operator } from './order.ts';

/** A move pre-warms first; past this the work goes on, unwatched. */
const timeoutMs = 60_000;

type Options = { to?: string; at?: number; cancel?: true; dryRun?: true; json?: true };

/** The command. Exit codes: 0 done or planned, 1 refused, 2 nothing done, 4 cannot ask, 5 done but incomplete, 6 result unknown. */
export function switchoverCommand(ctx: CommandContext): Command {
  return new Command('switchover')
    .option('--to <node>', 'the node that shall become active (default: the best heir)')
    .option('--at <time>', 'not now but then: +10m, or 2026-12-01T22:00', (text: string) => momentMs(text, Date.now()))
    .option('--cancel', 'take a planned switchover back')
    .option('--dry-run', 'only say what would happen')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExit codes: 0 done, 1 refused, 2 nothing done, 4 cannot ask, 5 done but incomplete, 6 result unknown.')
    .action(async (options: Options) => {
      checkTogether(options);
      const { to = '', at, cancel = false, dryRun = false, json = false } = options;
      const command = { to, by: operator(ctx), dryRun, atMs: BigInt(at ?? 0), cancel };
      const planning = at !== undefined || cancel;
      const prefix = dryRun ? 'dry run, ' : at === undefined ? undefined : `at ${instant(at)}, `;
      await giveOrder(ctx, {
        timeoutMs: planning ? ORDER_MS : timeoutMs,
        json,
        ...(prefix === undefined ? {} : { prefix }),
        hints: cancel ? { nothing: 'agentctl status names a planned switchover in its header' } : hints,
        give: (agent) => agent.switchover(command),
      });
    });
}

const hints: Readonly<Record<string, string>> = {
  nothing: 'agentctl status: a cluster without a holder elects one by itself, unless it is paused',
  incomplete: 'agentctl status: the old active is not back as standby yet',
  unknown: 'agentctl status shows who holds the lease now; do not repeat before looking',
};

function checkTogether({ to, at, cancel, dryRun }: Options): void {
  const wrong = cancel === true && (to !== undefined || at !== undefined || dryRun === true);
  if (!wrong && !(at !== undefined && dryRun === true)) return;
  const message = wrong ? '--cancel stands alone' : '--at and --dry-run do not go together';
  throw new CliError({ code: 'usage', message, hint: 'agentctl switchover --help', exitCode: EXIT_USAGE });
}
