// agentctl doctor: what is set up badly on this host, and what to change. The exit code is that of a Nagios plugin.
import { readFileSync, statSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import type { CommandContext } from './context.ts';
import { exitCodeOf, findingsOf } from './doctor-checks.ts';
import { askStatus, collectFacts } from './doctor-facts.ts';
import { type Facts, type Finding, type Part, parts } from './doctor-types.ts';
import { CliError } from './errors.ts';
import { jsonText } from './json.ts';
import { paintOf } from './paint.ts';

type Options = { readonly only?: readonly Part[]; readonly compare: readonly string[]; readonly json?: true };

/** The command. */
export function doctorCommand(ctx: CommandContext): Command {
  return new Command('doctor')
    .option('--only <part,...>', `judge these only: ${parts.join(', ')}`, partsOf)
    .option(
      '--compare <file>',
      'compare with what doctor --json printed on another node; may be repeated',
      (file, all: string[]) => [...all, file],
      [],
    )
    .option('--json', 'print facts and findings as JSON')
    .addHelpText(
      'after',
      '\nExit codes: 0 all well, 1 warnings, 2 critical, 3 nothing bad but something could not be judged, 4 no configuration.',
    )
    .action(async (options: Options) => {
      const config = await ctx.loadConfig();
      const facts = await collectFacts(config, (host) => askStatus(ctx, host));
      const all = findingsOf(facts, options.compare.map(factsIn));
      const findings = options.only === undefined ? all : all.filter(({ part }) => options.only?.includes(part));
      const code = exitCodeOf(findings);
      ctx.out(options.json === true ? jsonText({ exitCode: code, findings, facts }) : textOf(ctx, findings));
      ctx.setExit(code);
    });
}

function partsOf(text: string): readonly Part[] {
  return text.split(',').map((word) => {
    const part = parts.find((known) => known === word.trim());
    if (part === undefined) throw new InvalidArgumentError(`It must be some of ${parts.join(', ')}.`);
    return part;
  });
}

const bytesMax = 1 << 20;

function factsIn(file: string): Facts {
  const hint = 'write it on the other node: agentctl doctor --json > FILE';
  try {
    if (statSync(file).size > bytesMax) throw new Error('too large');
    const { facts } = JSON.parse(readFileSync(file, 'utf8')) as { facts?: Facts };
    if (typeof facts?.node === 'string' && (facts.ollama === null || typeof facts.ollama === 'object')) return facts;
  } catch {
    // the same answer as for another file
  }
  throw new CliError({ code: 'usage', message: 'not what agentctl doctor --json prints', where: file, hint });
}

function textOf(ctx: CommandContext, findings: readonly Finding[]): string {
  const paint = paintOf(ctx);
  const colours = { ok: paint.green, warning: paint.yellow, critical: paint.red, unknown: paint.yellow };
  const lines = findings.flatMap(({ part, level, what, where, change }) => [
    `${colours[level](level.toUpperCase().padEnd(8))} ${part}: ${what} (${where})`,
    ...(change === '' ? [] : [`         do: ${change}`]),
  ]);
  return `${lines.join('\n')}\n`;
}
