// agentctl switchover: a planned move of the active role, and what came of it.
import { userInfo } from 'node:os';
import { Command } from 'commander';
import type { CommandReply } from '../gen/control.ts';
import { type AgentClient, withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { printable } from './format.ts';
import { phasesText } from './history.ts';
import { jsonText } from './json.ts';

/** A move pre-warms first; past this the work goes on, unwatched. */
const timeoutMs = 60_000;

/** Exit codes by outcome; an outcome this version does not know is unknown. */
const exitCodes: Readonly<Record<string, number>> = { done: 0, refused: 1, nothing: 2, incomplete: 5, unknown: 6 };
const exitUnknown = 6;

/** The command. Exit codes: 0 done, 1 refused, 2 nothing done (no holder), 4 cannot ask, 5 done but incomplete, 6 result unknown. */
export function switchoverCommand(ctx: CommandContext): Command {
  return new Command('switchover')
    .option('--to <node>', 'the node that shall become active (default: the best heir)')
    .option('--dry-run', 'only say what would happen')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExit codes: 0 done, 1 refused, 2 no holder, 4 cannot ask, 5 done but incomplete, 6 result unknown.')
    .action(async (options: { to?: string; dryRun?: true; json?: true }) => {
      const command = { to: options.to ?? '', by: operator(ctx), dryRun: options.dryRun === true };
      const reply = await withAgent(ctx, timeoutMs, async (agent) => {
        // Whether anyone listens is asked first: a failure after that leaves the result unknown.
        await agent.status();
        return await agent.switchover(command).catch((error: unknown) => rethrowUnknown(error, agent));
      });
      ctx.out(options.json === true ? jsonText(reply) : replyText(reply, command.dryRun));
      ctx.setExit(exitCodes[reply.outcome] ?? exitUnknown);
    });
}

function replyText(reply: CommandReply, dryRun: boolean): string {
  const phases = Object.keys(reply.phasesMs).length === 0 ? '' : ` (${printable(phasesText(reply.phasesMs))} ms)`;
  const epoch = reply.epoch === 0n || dryRun ? '' : `, epoch ${reply.epoch}`;
  const head = `${dryRun ? 'dry run, ' : ''}${reply.outcome}: ${printable(reply.text)}${epoch}${phases}\n`;
  const vetoes = reply.vetoes.map((veto) => `  ${printable(veto)}\n`).join('');
  const hint = hints[reply.outcome];
  return head + vetoes + (hint === undefined ? '' : `Try: ${hint}\n`);
}

const hints: Readonly<Record<string, string>> = {
  refused: 'agentctl explain NODE lists every reason against a node',
  nothing: 'agentctl status: a cluster without a holder elects one by itself',
  incomplete: 'agentctl status: the old active is not back as standby yet',
  unknown: 'agentctl status shows who holds the lease now; do not repeat before looking',
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

// Who did it stands in the history; behind sudo the person, not root.
function operator(ctx: CommandContext): string {
  const named = ctx.env.SUDO_USER ?? ctx.env.USER ?? ctx.env.LOGNAME;
  if (named !== undefined && named !== '') return named;
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}
