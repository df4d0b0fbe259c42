// What every order to the cluster has in common: who gives it, how its outcome is told, and the exit code that says so.
import { userInfo } from 'node:os';
import type { CommandReply } from '../gen/control.ts';
import { type AgentClient, withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { printable } from './format.ts';
import { phasesText } from './history.ts';
import { jsonText } from './json.ts';

/** Exit codes by outcome; an outcome this version does not know is unknown. */
const exitCodes: Readonly<Record<string, number>> = { done: 0, refused: 1, nothing: 2, incomplete: 5, unknown: 6 };
const exitUnknown = 6;

/** Time for an order that is answered at once, ms. */
export const ORDER_MS = 15_000;

/** How an order is given and told. */
export type OrderOptions = {
  readonly timeoutMs: number;
  readonly json: boolean;
  /** Put before the outcome. */
  readonly prefix?: string;
  /** Exit code of `incomplete` where the table of codes names another one than 5. */
  readonly incomplete?: number;
  readonly hints?: Readonly<Record<string, string>>;
  readonly give: (agent: AgentClient) => Promise<CommandReply>;
};

/** Gives the order, prints what came of it, sets the exit code. */
export async function giveOrder(ctx: CommandContext, order: OrderOptions): Promise<void> {
  const reply = await withAgent(ctx, order.timeoutMs, async (agent) => {
    // Whether anyone listens is asked first: a failure after that leaves the result unknown.
    await agent.status();
    return await order.give(agent).catch((error: unknown) => rethrowUnknown(error, agent));
  });
  ctx.out(order.json ? jsonText(reply) : replyText(reply, order));
  ctx.setExit(reply.outcome === 'incomplete' ? (order.incomplete ?? 5) : (exitCodes[reply.outcome] ?? exitUnknown));
}

function replyText(reply: CommandReply, order: OrderOptions): string {
  const phases = Object.keys(reply.phasesMs).length === 0 ? '' : ` (${printable(phasesText(reply.phasesMs))} ms)`;
  const epoch = reply.epoch === 0n || order.prefix !== undefined ? '' : `, epoch ${reply.epoch}`;
  const head = `${order.prefix ?? ''}${reply.outcome}: ${printable(reply.text)}${epoch}${phases}\n`;
  const vetoes = reply.vetoes.map((veto) => `  ${printable(veto)}\n`).join('');
  const hint = order.hints?.[reply.outcome] ?? hints[reply.outcome];
  return head + vetoes + (hint === undefined ? '' : `Try: ${hint}\n`);
}

const hints: Readonly<Record<string, string>> = {
  refused: 'agentctl explain NODE lists every reason against a node',
  nothing: 'agentctl status shows what there is',
  incomplete: 'agentctl status shows how far it came',
  unknown: 'agentctl status shows what has become of it; do not repeat before looking',
};

function rethrowUnknown(error: unknown, agent: AgentClient): never {
  if (!(error instanceof CliError) || error.code === 'refused' || error.code === 'forbidden' || error.code === 'unsupported') throw error;
  throw new CliError({
    code: 'unknown',
    message: `the result is unknown (${error.message})`,
    where: agent.where,
    hint: hints.unknown ?? '',
    exitCode: exitUnknown,
    cause: error,
  });
}

/** Who did it stands in settings and history; behind sudo the person, not root. */
export function operator(ctx: CommandContext): string {
  const named = ctx.env.SUDO_USER ?? ctx.env.USER ?? ctx.env.LOGNAME;
  if (named !== undefined && named !== '') return named;
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}
