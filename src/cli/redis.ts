// agentctl redis status: each lease server as the asked agent sees it.
import { Command } from 'commander';
import type { RedisRow } from '../gen/control.ts';
import { withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { duration } from './format.ts';
import { jsonText } from './json.ts';
import { type Paint, paintOf } from './paint.ts';
import { tableText } from './table.ts';

const head = ['SERVER', 'STATE', 'RUN ID', 'P50', 'P99', 'LAST REPLY', 'LAST ERROR'];

/** The command with its one subcommand. Exit codes: 0 a majority answers, 1 no majority, 4 cannot ask. */
export function redisCommand(ctx: CommandContext): Command {
  return new Command('redis').addCommand(
    new Command('status')
      .description('each lease server: run_id, latency, last error')
      .option('--json', 'print everything as JSON')
      .addHelpText('after', '\nExit codes: 0 a majority answers, 1 no majority, 4 cannot ask.')
      .action(async ({ json = false }: { json?: boolean }) => {
        const { redis, asked } = await withAgent(ctx, 5000, (agent) => agent.status());
        const up = redis.filter((row) => row.up).length;
        const majority = Math.floor(redis.length / 2) + 1;
        if (json) ctx.out(jsonText({ asked, up, majority, servers: redis }));
        else ctx.out(`asked ${asked}: ${up} of ${redis.length} up, majority ${majority}\n${table(redis, paintOf(ctx), ctx.columns)}`);
        ctx.setExit(up >= majority ? 0 : 1);
      }),
  );
}

function table(servers: readonly RedisRow[], paint: Paint, columns: number): string {
  const ms = (value: number) => (value === 0 ? '-' : `${value.toFixed(value < 10 ? 1 : 0)} ms`);
  const rows = servers.map((row) => [
    { text: row.server },
    row.up ? { text: 'up', paint: paint.green } : { text: 'down', paint: paint.red },
    { text: row.runId === '' ? '-' : row.runId.slice(0, 12) },
    { text: ms(row.latencyP50Ms) },
    { text: ms(row.latencyP99Ms) },
    { text: duration(Number(row.lastReplyAgeMs)) },
    { text: row.lastError === '' ? '-' : row.lastError },
  ]);
  return tableText(head, rows, Math.max(columns, 100));
}
