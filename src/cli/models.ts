// agentctl models: which node holds which model, completely or not, and where it is loaded; and a deleted model brought back.
import { Command } from 'commander';
import type { ModelCell, ModelsReply } from '../gen/control.ts';
import { withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { size } from './format.ts';
import { seconds } from './globals.ts';
import { jsonText } from './json.ts';
import { giveOrder, operator } from './order.ts';
import { type Paint, paintOf } from './paint.ts';
import { transfersText } from './replication-view.ts';
import { type Cell, tableText } from './table.ts';
import { watchText } from './watch.ts';

/** Every blob of the model is hashed before it shows, ms. */
const RESTORE_MS = 3_600_000;

/** The command, with `restore` inside. */
export function modelsCommand(ctx: CommandContext): Command {
  const list = new Command('list')
    .description('which node holds which model')
    .option('--json', 'print everything as JSON')
    .option('--watch [seconds]', 'repeat until Ctrl-C with what is on its way, each second or as often as given', seconds)
    .action(async ({ json = false, watch }: { json?: boolean; watch?: true | number }) => {
      if (watch === undefined) ctx.out(await shown(ctx, json));
      else await watchText(ctx, watch === true ? 1 : watch, async () => (await shown(ctx, json)) + (json ? '' : await onTheWay(ctx)));
    });
  const restore = new Command('restore')
    .description('bring a deleted or replaced model of the asked node back from its quarantine, verified')
    .argument('<model>', 'its name; agentctl replication status lists what is kept')
    .option('--as <name>', 'under another name')
    .option('--json', 'print the result as JSON')
    .action(async (model: string, { as = '', json = false }: { as?: string; json?: boolean }) => {
      const command = { model, as, by: operator(ctx) };
      await giveOrder(ctx, { timeoutMs: RESTORE_MS, json, give: (agent) => agent.restore(command) });
    });
  return new Command('models').addCommand(list, { isDefault: true }).addCommand(restore);
}

async function shown(ctx: CommandContext, json: boolean): Promise<string> {
  const reply = await withAgent(ctx, 5000, (agent) => agent.models());
  if (json) return jsonText(reply);
  return reply.models.length === 0 ? 'no node has a model yet\n' : modelsText(reply, paintOf(ctx), ctx.columns);
}

async function onTheWay(ctx: CommandContext): Promise<string> {
  const reply = await withAgent(ctx, 5000, (agent) => agent.replication());
  const text = transfersText(reply.transfers, ctx.columns);
  return text === '' ? '' : `\non its way to ${reply.node}:\n${text}`;
}

function modelsText(reply: ModelsReply, paint: Paint, columns: number): string {
  const rows = reply.models.map((model) => [
    { text: model.name },
    { text: size(Number(model.sizeBytes)) },
    ...reply.nodes.map((node) =>
      cellOf(
        model.cells.find((cell) => cell.node === node),
        paint,
      ),
    ),
  ]);
  return tableText(['MODEL', 'SIZE', ...reply.nodes], rows, Math.max(columns, 100));
}

function cellOf(cell: ModelCell | undefined, paint: Paint): Cell {
  if (cell === undefined || cell.state === 'unknown') return { text: '?' };
  const behind = cell.bytesBehind > 0n ? ` -${size(Number(cell.bytesBehind))}` : '';
  const text = `${cell.state}${behind}${cell.hot ? ', loaded' : ''}`;
  return cell.state === 'complete' ? { text } : { text, paint: paint.yellow };
}
