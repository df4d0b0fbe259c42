// agentctl status: the cluster as one agent sees it, right now or over and over.
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { seconds } from './globals.ts';
import { plain } from './json.ts';
import { errorJson, errorText } from './report.ts';
import { healthOf } from './status-health.ts';

/** How long one answer may take unless --timeout says otherwise. */
const timeoutMs = 5000;
const clearScreen = '\x1b[H\x1b[2J';

/** The command. Exit codes: 0 healthy, 1 degraded, 2 no holder, 3 split brain suspected, 4 nothing could be asked. */
export function statusCommand(ctx: CommandContext): Command {
  return new Command('status')
    .option('--json', 'print everything as JSON')
    .option('--watch [seconds]', 'repeat until Ctrl-C, each second or as often as given', seconds)
    .addHelpText('after', '\nExit codes: 0 healthy, 1 degraded, 2 no holder, 3 split brain suspected, 4 cannot ask.')
    .action(async (options: { json?: true; watch?: true | number }) => {
      const json = options.json === true;
      if (options.watch === undefined) {
        const shown = await snapshot(ctx, json);
        ctx.out(json ? `${JSON.stringify(shown.value, null, 2)}\n` : shown.text);
        ctx.setExit(shown.exitCode);
      } else await watch(ctx, json, (options.watch === true ? 1 : options.watch) * 1000);
    });
}

type Shown = { readonly text: string; readonly value: unknown; readonly exitCode: number };

async function snapshot(ctx: CommandContext, json: boolean): Promise<Shown> {
  return await withAgent(ctx, timeoutMs, async (agent) => {
    const reply = await agent.status();
    const health = healthOf(reply);
    const value = { ...(plain(reply) as object), state: health.state, stateReasons: health.reasons, exitCode: health.exitCode };
    if (json) return { text: '', value, exitCode: health.exitCode };
    const [{ statusText }, { paintOf }] = await Promise.all([import('./status-view.ts'), import('./paint.ts')]);
    return { text: statusText(reply, health, paintOf(ctx), ctx.columns), value, exitCode: health.exitCode };
  });
}

// An agent that is away for a moment is news, not the end: the watch shows it and goes on.
async function watch(ctx: CommandContext, json: boolean, periodMs: number): Promise<void> {
  const { signal } = ctx;
  while (signal?.aborted !== true) {
    const shown = await snapshot(ctx, json).catch((error: unknown): Shown => {
      if (!(error instanceof CliError)) throw error;
      return { text: errorText(error), value: errorJson(error), exitCode: error.exitCode };
    });
    ctx.setExit(shown.exitCode);
    if (json) ctx.out(`${JSON.stringify(shown.value)}\n`);
    else ctx.out(ctx.isTty ? clearScreen + shown.text : `${shown.text}\n`);
    await sleep(periodMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}
