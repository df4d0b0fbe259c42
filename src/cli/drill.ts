// agentctl drill: a failure test on the real cluster, from the node that shall fail: refused where it is not safe, always taken back, with a report.
import { Command, InvalidArgumentError } from 'commander';
import { redisServersOf } from '../config/derive.ts';
import type { Config } from '../config/schema.ts';
import type { StatusReply } from '../gen/control.ts';
import { withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { faultOf } from './drill-fault.ts';
import { type DrillKind, type DrillSite, drillKinds, drillSummaries, refusalsOf, sentenceOf } from './drill-plan.ts';
import { drillJson, drillText, problemsOf } from './drill-report.ts';
import { runDrill } from './drill-run.ts';
import { CliError } from './errors.ts';
import { jsonText } from './json.ts';

type Options = { readonly yes?: true; readonly for: number; readonly json?: true };

const HEAL_MS = 60_000;
const EXIT_NOT_PASSED = 5;

/** The command. Exit codes: 0 passed, 1 refused (nothing was done), 4 cannot ask, 5 done, but not passed. */
export function drillCommand(ctx: CommandContext): Command {
  const drill = new Command('drill');
  for (const kind of drillKinds) drill.addCommand(kindCommand(ctx, kind));
  return drill.addHelpText('after', '\nRun it on the node that shall fail, as root. agentctl status names the active one.');
}

function kindCommand(ctx: CommandContext, kind: DrillKind): Command {
  return new Command(kind)
    .description(drillSummaries[kind])
    .option('--yes', 'do it; without this it only says what it would do')
    .option('--for <seconds>', 'longest time until the failure is taken back', seconds, 15)
    .option('--json', 'print the report as JSON')
    .addHelpText('after', '\nExit codes: 0 passed, 1 refused and nothing done, 4 cannot ask, 5 done but not passed.')
    .action(async (options: Options) => {
      const config = await ctx.loadConfig();
      const holdMs = options.for * 1000;
      const before = await withAgent(ctx, 5000, (agent) => agent.status());
      const site = siteOf(config, holdMs);
      refuse(kind, site, before, options.yes === true);
      const fault = await faultOf(kind, config, holdMs);
      const seen = await runDrill(ctx, { kind, config, before, fault, holdMs, healMs: HEAL_MS });
      ctx.out(options.json === true ? jsonText(drillJson(seen)) : drillText(seen));
      ctx.setExit(problemsOf(seen).length === 0 ? 0 : EXIT_NOT_PASSED);
    });
}

function siteOf(config: Config, holdMs: number): DrillSite {
  const { node, redis } = config;
  return {
    node: node.id,
    ollama: config.ollama !== null,
    ownVote: redis.managed && redisServersOf(config).some((server) => server.name === node.id),
    managed: redis.managed,
    holdMs,
  };
}

function refuse(kind: DrillKind, site: DrillSite, status: StatusReply, yes: boolean): void {
  const reasons = refusalsOf(kind, site, status);
  if (reasons.length > 0) {
    throw new CliError({
      code: 'refused',
      message: [`drill ${kind} is refused; nothing was done`, ...reasons].join('\n'),
      hint: 'agentctl status; a drill is for a healthy cluster',
      details: { reasons },
    });
  }
  const sentence = sentenceOf(kind, site, status);
  if (!yes) throw new CliError({ code: 'unconfirmed', message: sentence, hint: `agentctl drill ${kind} --yes does it` });
  if (process.getuid?.() !== 0)
    throw new CliError({
      code: 'forbidden',
      message: 'a drill needs root on this node; nothing was done',
      hint: `sudo agentctl drill ${kind} --yes`,
    });
}

function seconds(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text) || Number(text) > 120) throw new InvalidArgumentError('It must be a whole number from 1 to 120.');
  return Number(text);
}
