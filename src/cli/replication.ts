// agentctl replication: how the copying of models to one node stands, and orders to it.
import { Command, InvalidArgumentError } from 'commander';
import { withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { seconds } from './globals.ts';
import { jsonText } from './json.ts';
import { giveOrder, ORDER_MS, operator } from './order.ts';
import { paintOf } from './paint.ts';
import { replicationText } from './replication-view.ts';
import { watchText } from './watch.ts';

/** The command with its inner ones. */
export function replicationCommand(ctx: CommandContext): Command {
  const simple = (action: string, summary: string) =>
    new Command(action)
      .description(summary)
      .option('--json', 'print the result as JSON')
      .action(({ json = false }: { json?: boolean }) => order(ctx, action, 0n, json));
  const limit = new Command('limit')
    .description('set the limit of the copying rate on the asked node, until it is set again')
    .argument('<bytes>', 'bytes per second; 0 = none; K, M and G may follow', rate)
    .option('--json', 'print the result as JSON')
    .action((bytes: number, { json = false }: { json?: boolean }) => order(ctx, 'limit', BigInt(bytes), json));
  return new Command('replication')
    .addCommand(statusOf(ctx), { isDefault: true })
    .addCommand(simple('pause', 'copy and delete nothing on the asked node, also after a restart'))
    .addCommand(simple('resume', 'end a pause'))
    .addCommand(simple('now', 'look at the store and copy at once, whatever the window and the pause between tries say'))
    .addCommand(limit)
    .addCommand(simple('accept-deletes', 'the active lost many models on purpose: follow, on every node that waits for it'));
}

function statusOf(ctx: CommandContext): Command {
  return new Command('status')
    .description('what is behind, on its way, to be deleted, and kept')
    .option('--json', 'print everything as JSON')
    .option('--watch [seconds]', 'repeat until Ctrl-C, each second or as often as given', seconds)
    .action(async ({ json = false, watch }: { json?: boolean; watch?: true | number }) => {
      const text = async () => {
        const reply = await withAgent(ctx, 5000, (agent) => agent.replication());
        return json ? jsonText(reply) : replicationText(reply, paintOf(ctx), ctx.columns);
      };
      if (watch === undefined) ctx.out(await text());
      else await watchText(ctx, watch === true ? 1 : watch, text);
    });
}

async function order(ctx: CommandContext, action: string, bytesPerSecondMax: bigint, json: boolean): Promise<void> {
  const command = { action, by: operator(ctx), bytesPerSecondMax };
  const hints = { nothing: 'agentctl replication status shows how it stands' };
  await giveOrder(ctx, { timeoutMs: ORDER_MS, json, hints, give: (agent) => agent.replicationOrder(command) });
}

const factors: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9 };

function rate(value: string): number {
  const [, digits, unit = ''] = /^(\d{1,12})([KMG]?)$/i.exec(value) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('It must be a number of bytes per second, such as 50000000, 50M or 0.');
  return Number(digits) * (factors[unit.toUpperCase()] ?? 1);
}
