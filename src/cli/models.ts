// agentctl models: which node holds which model, completely or not, and where it is loaded.
import { Command } from 'commander';
import type { ModelCell, ModelsReply } from '../gen/control.ts';
import { withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { size } from './format.ts';
import { jsonText } from './json.ts';
import { type Paint, paintOf } from './paint.ts';
import { type Cell, tableText } from './table.ts';

/** The command. */
export function modelsCommand(ctx: CommandContext): Command {
  return new Command('models').option('--json', 'print everything as JSON').action(async (options: { json?: true }) => {
    const reply = await withAgent(ctx, 5000, (agent) => agent.models());
    if (options.json === true) ctx.out(jsonText(reply));
    else ctx.out(reply.models.length === 0 ? 'no node has a model yet\n' : modelsText(reply, paintOf(ctx), ctx.columns));
  });
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
