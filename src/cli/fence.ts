// agentctl fence render: the kernel fence as a file for nft. `agentctl fence --local` is answered before the commands are loaded (main.ts).
import { Command } from 'commander';
import { canonicalOf } from '../config/cidr.ts';
import { loadScript } from '../core/vip/fence-table.ts';
import type { CommandContext } from './context.ts';
import { CliError, EXIT_USAGE } from './errors.ts';

/** The command; `--local` stands here for the help. */
export function fenceCommand(ctx: CommandContext): Command {
  return new Command('fence')
    .option('--local', 'now, without the agent: reset connections, take the address down, close the fence, release the lease')
    .addCommand(renderCommand(ctx))
    .action(() => {
      throw new CliError({
        code: 'usage',
        message: 'fence --local takes no other command beside it',
        hint: 'agentctl fence --local, or agentctl fence render',
        exitCode: EXIT_USAGE,
      });
    });
}

function renderCommand(ctx: CommandContext): Command {
  return new Command('render').description('print the nft table of this node; load it at boot, before keepalived').action(async () => {
    const { vip } = await ctx.loadConfig();
    if (vip === null || vip.driver === 'none' || vip.fence === 'off') {
      throw new CliError({
        code: 'not-configured',
        message: 'this node has no fence',
        where: 'vip',
        hint: 'set vip.address, vip.interface and vip.fence: required',
      });
    }
    ctx.out(`${HEAD}${loadScript({ interface: vip.interface, vips: vip.addresses.map(canonicalOf) })}`);
  });
}

const HEAD = `# Written by "agentctl fence render". Nobody on this host answers for the address unless it is in the set "live", where the agent puts it
# for as long as the lease is valid; the kernel takes it out by itself. Loading this file closes the fence.
`;
