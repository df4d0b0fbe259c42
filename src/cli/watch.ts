// Shows a text again and again until Ctrl-C: redrawn on a terminal, one after the other elsewhere.
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { errorText } from './report.ts';

const clearScreen = '\x1b[H\x1b[2J';

/** An agent that is away for a moment is news, not the end. */
export async function watchText(ctx: CommandContext, everySeconds: number, text: () => Promise<string>): Promise<void> {
  const { signal } = ctx;
  while (signal?.aborted !== true) {
    const shown = await text().catch((error: unknown) => {
      if (!(error instanceof CliError)) throw error;
      return errorText(error);
    });
    ctx.out(ctx.isTty ? clearScreen + shown : `${shown}\n`);
    await sleep(everySeconds * 1000, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}
