// agentctl explain NODE: every veto against taking over, with its numbers.
import { Command } from 'commander';
import type { ExplainReply } from '../gen/control.ts';
import { withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { printable } from './format.ts';
import { jsonText } from './json.ts';
import { type Paint, paintOf } from './paint.ts';

/** The command. Exit codes: 0 the node may take over, 1 it may not, 4 nothing could be asked. */
export function explainCommand(ctx: CommandContext): Command {
  return new Command('explain')
    .argument('<node>', 'id of the node')
    .option('--json', 'print everything as JSON')
    .addHelpText('after', '\nExit codes: 0 may take over, 1 may not, 4 cannot ask.')
    .action(async (node: string, options: { json?: true }) => {
      const reply = await withAgent(ctx, 5000, (agent) => agent.explain(node));
      ctx.out(options.json === true ? jsonText(reply) : explanation(reply, paintOf(ctx)));
      ctx.setExit(reply.mayTakeOver ? 0 : 1);
    });
}

function explanation(reply: ExplainReply, paint: Paint): string {
  const verdict = reply.mayTakeOver ? paint.green('may take over') : paint.yellow('may not take over');
  const codeWidth = Math.max(0, ...reply.vetoes.map((veto) => veto.code.length));
  return [
    `${printable(reply.node)} ${verdict}`,
    ...reply.vetoes.map((veto) => `  ${printable(veto.code).padEnd(codeWidth)}  ${printable(veto.text)}`),
    ...(reply.facts.length > 0 ? ['facts:', ...reply.facts.map((fact) => `  ${printable(fact)}`)] : []),
    '',
  ].join('\n');
}
