// agentctl alerts: what the asked node has to report, where it reports to, and a test message.
import { Command } from 'commander';
import type { AlertsReply, ChannelResult } from '../gen/control.ts';
import { withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { instant, printable } from './format.ts';
import { jsonText } from './json.ts';
import { operator } from './order.ts';
import { type Paint, paintOf } from './paint.ts';
import { tableText } from './table.ts';

/** Longest wait for a channel's server, ms. */
const TEST_MS = 30_000;
const alertHead = ['ALERT', 'ABOUT', 'SEVERITY', 'STATE', 'SINCE', 'TEXT'];
const channelHead = ['CHANNEL', 'KIND', 'QUEUED', 'SENT', 'DROPPED', 'LAST SENT', 'LAST ERROR'];

/** The command with its two subcommands. */
export function alertsCommand(ctx: CommandContext): Command {
  return new Command('alerts').addCommand(listCommand(ctx), { isDefault: true }).addCommand(testCommand(ctx));
}

/** Exit codes: 0 nothing is wrong, 1 an alert fires, 4 cannot ask. */
function listCommand(ctx: CommandContext): Command {
  return new Command('list')
    .description('what is wrong now, and how far each channel came')
    .option('--json', 'print everything as JSON')
    .addHelpText('after', '\nExit codes: 0 nothing is wrong, 1 an alert fires, 4 cannot ask.')
    .action(async ({ json = false }: { json?: boolean }) => {
      const reply = await withAgent(ctx, 5000, (agent) => agent.alerts());
      ctx.out(json ? jsonText(reply) : listText(reply, paintOf(ctx), ctx.columns));
      ctx.setExit(reply.alerts.some((alert) => alert.state === 'firing') ? 1 : 0);
    });
}

function listText(reply: AlertsReply, paint: Paint, columns: number): string {
  const sender = reply.sender === '' ? 'nobody sends what concerns the cluster' : `${reply.sender} sends what concerns the cluster`;
  const alerts = reply.alerts.map((row) => [
    { text: row.name },
    { text: row.subject === '' ? 'cluster' : row.subject },
    row.severity === 'critical' ? { text: row.severity, paint: paint.red } : { text: row.severity },
    { text: row.state },
    { text: instant(Number(row.sinceMs)) },
    { text: row.text },
  ]);
  const channels = reply.channels.map((row) => [
    { text: row.name },
    { text: row.kind },
    { text: String(row.queued) },
    { text: String(row.delivered) },
    { text: String(row.dropped) },
    { text: row.lastOkAtMs === 0n ? '-' : instant(Number(row.lastOkAtMs)) },
    { text: row.lastError === '' ? '-' : row.lastError },
  ]);
  const width = Math.max(columns, 100);
  return [
    `asked ${printable(reply.asked)}; ${printable(sender)}\n`,
    alerts.length === 0 ? 'no alert\n' : tableText(alertHead, alerts, width),
    channels.length === 0 ? 'no channel is configured (alerts.channels)\n' : tableText(channelHead, channels, width),
  ].join('');
}

/** Exit codes: 0 every channel took it, 1 one did not or none is configured, 4 cannot ask. */
function testCommand(ctx: CommandContext): Command {
  return new Command('test')
    .description('send a test message through one channel, or all of them')
    .option('--channel <name>', 'only this one')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExit codes: 0 every channel took it, 1 one did not or none is configured, 4 cannot ask.')
    .action(async ({ channel = '', json = false }: { channel?: string; json?: boolean }) => {
      const { results } = await withAgent(ctx, TEST_MS, (agent) => agent.testAlert({ channel, by: operator(ctx) }));
      if (results.length === 0) {
        const hint = 'add one under alerts.channels; docs/alerts.md shows each kind';
        throw new CliError({ code: 'no-channel', message: 'no channel is configured', hint });
      }
      ctx.out(json ? jsonText({ results }) : results.map(resultLine).join(''));
      ctx.setExit(results.every((result) => result.ok) ? 0 : 1);
    });
}

function resultLine({ channel, ok, error }: ChannelResult): string {
  return `${printable(channel)}: ${ok ? 'sent' : `failed: ${printable(error)}`}\n`;
}
