// Colours: only on a terminal, and never the only carrier of a meaning.
import pc from 'picocolors';
import type { CommandContext } from './context.ts';

/** The colours in use; each returns its text unchanged when they are off. */
export type Paint = Pick<ReturnType<typeof pc.createColors>, 'bold' | 'dim' | 'green' | 'red' | 'yellow'>;

/** Colours for this run: off without a terminal, with --no-color, or with NO_COLOR set. */
export function paintOf(ctx: CommandContext): Paint {
  return pc.createColors(ctx.isTty && ctx.globals().color && (ctx.env.NO_COLOR ?? '') === '');
}
