// agentctl history: the changes of holder, newest first, each with its cause and its times.
import { Command } from 'commander';
import type { HistoryEntry } from '../gen/control.ts';
import { withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { instant } from './format.ts';
import { count } from './globals.ts';
import { jsonText } from './json.ts';
import { tableText } from './table.ts';

const head = ['AT', 'EPOCH', 'FROM', 'TO', 'CAUSE', 'BY', 'PHASES (ms)', 'REASON'];

/** The command. */
export function historyCommand(ctx: CommandContext): Command {
  return new Command('history')
    .option('-n, --limit <count>', 'how many entries (default: 20)', count(1000))
    .option('--json', 'print everything as JSON')
    .action(async (options: { limit?: number; json?: true }) => {
      const reply = await withAgent(ctx, 5000, (agent) => agent.history(options.limit ?? 20));
      const entries = [...reply.entries].sort((a, b) => Number(b.atMs - a.atMs));
      if (options.json === true) ctx.out(jsonText({ entries }));
      else ctx.out(entries.length === 0 ? 'no change of holder has been recorded yet\n' : historyText(entries, ctx.columns));
    });
}

function historyText(entries: readonly HistoryEntry[], columns: number): string {
  const rows = entries.map((entry) => [
    { text: instant(Number(entry.atMs)) },
    { text: String(entry.epoch) },
    { text: entry.from === '' ? '-' : entry.from },
    { text: entry.to === '' ? '-' : entry.to },
    { text: entry.cause === '' ? '-' : entry.cause },
    { text: entry.by === '' ? '-' : entry.by },
    { text: phasesText(entry.phasesMs) },
    { text: entry.reason === '' ? '-' : entry.reason },
  ]);
  return tableText(head, rows, Math.max(columns, 100));
}

/** Phases of a move as `revoke 3, claim 2`. */
export function phasesText(phasesMs: Readonly<Record<string, number>>): string {
  const parts = Object.entries(phasesMs).map(([name, ms]) => `${name} ${Math.round(ms)}`);
  return parts.length === 0 ? '-' : parts.join(', ');
}
