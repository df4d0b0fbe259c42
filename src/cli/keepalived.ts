// agentctl keepalived render | install | check: the configuration that makes keepalived follow the lease, and whether it would.
import { chmodSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { fifoOf, type KeepalivedOptions, renderKeepalived } from '../core/vip/keepalived-conf.ts';
import type { CommandContext } from './context.ts';
import { CliError } from './errors.ts';
import { jsonText } from './json.ts';
import { checkKeepalived, INCLUDED } from './keepalived-check.ts';
import { installKeepalived } from './keepalived-install.ts';

/** The directory and the file that keepalived reads by itself. */
const DIRECTORY = '/etc/keepalived';
const MAIN = `${DIRECTORY}/keepalived.conf`;
const STOP_HOOK = '/etc/systemd/system/keepalived.service.d/ollama-ha.conf';
const AGENT_USER = 'ollama-ha';

/** The command with its subcommands. */
export function keepalivedCommand(ctx: CommandContext): Command {
  return new Command('keepalived').addCommand(renderCommand(ctx)).addCommand(installCommand(ctx)).addCommand(checkCommand(ctx));
}

type RenderOptions = { readonly out?: string; readonly user: string };

function renderCommand(ctx: CommandContext): Command {
  return new Command('render')
    .description('print the keepalived configuration of this node, or write it')
    .option('--out <file>', `write it there (mode 0644), such as ${INCLUDED}`)
    .option('--user <name>', 'user of the agent, who reads the state changes', AGENT_USER)
    .action(async (options: RenderOptions) => {
      const text = textOf(await ctx.loadConfig(), options.user);
      if (options.out === undefined) return ctx.out(text);
      write(options.out, text);
      const own = 'with a keepalived.conf of your own, add there: include ';
      ctx.out(`${options.out}: written\n${own}${options.out}\nnext: agentctl keepalived check ${options.out}, then reload keepalived\n`);
    });
}

function installCommand(ctx: CommandContext): Command {
  return new Command('install')
    .description('write our part as a file to be included, and keepalived.conf where there is none of your own')
    .option('--dir <directory>', 'where keepalived reads its configuration', DIRECTORY)
    .option('--user <name>', 'user of the agent, who reads the state changes', AGENT_USER)
    .action(async ({ dir, user }: { readonly dir: string; readonly user: string }) => {
      const options = optionsOf(await ctx.loadConfig(), user);
      const { done, todo } = refusing(() => installKeepalived(options, dir));
      const next = `next: agentctl keepalived check ${dir === DIRECTORY ? '' : `${dir}/keepalived.conf`}`.trimEnd();
      ctx.out([...done, ...todo, `${next}, then reload keepalived`, ''].join('\n'));
    });
}

function textOf(config: Config, user: string): string {
  const options = optionsOf(config, user);
  return refusing(() => renderKeepalived(options));
}

function optionsOf(config: Config, user: string): KeepalivedOptions {
  const { vip } = config;
  if (vip === null || vip.driver !== 'keepalived') {
    throw new CliError({
      code: 'not-configured',
      message: 'this node does not carry the address by keepalived',
      where: 'vip.driver',
      hint: 'set vip.driver: keepalived, with vip.address (or vip.addresses) and vip.interface',
    });
  }
  return {
    node: config.node,
    nodes: config.cluster.nodes,
    vips: vip.addresses,
    interface: vip.interface,
    virtualRouterId: vip.virtualRouterId,
    runDir: config.paths.run,
    script: vip.deadlineScript,
    user,
  };
}

/** What cannot be rendered is an error of the configuration. */
function refusing<T>(render: () => T): T {
  try {
    return render();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new CliError({
      code: 'invalid-config',
      message: cause.message,
      hint: 'name IP addresses in node.address and cluster.nodes',
      cause,
    });
  }
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
    // keepalived ignores an executable file without an error.
    chmodSync(path, 0o644);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'error';
    throw new CliError({
      code: 'io',
      message: `cannot write it (${code})`,
      where: path,
      hint: 'run as root, or choose another --out',
      cause,
    });
  }
}

function checkCommand(ctx: CommandContext): Command {
  return new Command('check')
    .description('check keepalived, its configuration file and the dead-man script')
    .argument('[file]', 'the file keepalived is started with', MAIN)
    .option('--json', 'print the result as JSON')
    .action(async (file: string, options: { json?: true }) => {
      const config = await ctx.loadConfig();
      // Also tells that the section is there and can be rendered.
      textOf(config, AGENT_USER);
      const rows = await checkKeepalived({
        file,
        script: config.vip?.deadlineScript ?? '',
        daemonOptions: '/etc/default/keepalived',
        stopHook: STOP_HOOK,
        fifo: fifoOf(config.paths.run),
        vips: config.vip?.addresses ?? [],
      });
      const ok = rows.every((row) => row.problem === '');
      const lines = rows.map((row) =>
        row.problem === '' ? `ok    ${row.what}\n` : `FAIL  ${row.what}: ${row.problem}. Try: ${row.hint}\n`,
      );
      ctx.out(options.json === true ? jsonText({ ok, rows }) : lines.join(''));
      if (!ok) ctx.setExit(1);
    });
}
