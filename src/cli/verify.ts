// agentctl verify: every blob of all or some models is read anew on the asked node, and compared with its digest.
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import type { VerifyReply } from '../gen/control.ts';
import { type AgentClient, withAgent } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { printable, size } from './format.ts';
import { jsonText } from './json.ts';
import { operator } from './order.ts';

const ASK_EVERY_MS = 500;

/** The command. Exit codes: 0 everything is sound, or repaired; 1 something is corrupt or missing; 4 cannot ask. */
export function verifyCommand(ctx: CommandContext): Command {
  return new Command('verify')
    .argument('[models...]', 'names; default: every model')
    .option('--repair', 'wait until what is corrupt or missing was fetched from a peer')
    .option('--json', 'print the report as JSON')
    .addHelpText(
      'after',
      '\nExit codes: 0 sound or repaired, 1 something is corrupt or missing, 4 cannot ask. Ctrl-C leaves the pass running.',
    )
    .action(async (models: string[], { repair = false, json = false }: { repair?: boolean; json?: boolean }) => {
      const report = await withAgent(ctx, 15_000, (agent) => untilDone(ctx, agent, { models, repair, by: operator(ctx) }, json));
      ctx.out(json ? jsonText(report) : reportText(report));
      ctx.setExit(report.phase === 'done' && report.bad.every((blob) => blob.state === 'repaired') ? 0 : 1);
    });
}

async function untilDone(
  ctx: CommandContext,
  agent: AgentClient,
  order: { readonly models: string[]; readonly repair: boolean; readonly by: string },
  json: boolean,
): Promise<VerifyReply> {
  let report = await agent.verify({ id: 0, ...order });
  while (report.phase !== 'done' && ctx.signal?.aborted !== true) {
    if (ctx.isTty && !json) ctx.err(`\r${progressText(report)}   `);
    await sleep(ASK_EVERY_MS, undefined, ctx.signal === undefined ? {} : { signal: ctx.signal }).catch(() => undefined);
    report = await agent.verify({ ...order, id: report.id });
  }
  if (ctx.isTty && !json) ctx.err('\r\x1b[K');
  return report;
}

function progressText(report: VerifyReply): string {
  const open = report.bad.filter((blob) => blob.state !== 'repaired').length;
  if (report.phase === 'repairing') return `${open} of ${report.bad.length} bad blobs are not repaired yet`;
  return `${report.blobsDone} of ${report.blobs} blobs, ${size(Number(report.bytesDone))} of ${size(Number(report.bytes))} read`;
}

function reportText(report: VerifyReply): string {
  const head = `${report.models} models, ${report.blobsDone} of ${report.blobs} blobs, ${size(Number(report.bytesDone))} read: `;
  const open = report.bad.filter((blob) => blob.state !== 'repaired').length;
  const end = report.bad.length === 0 ? 'sound' : open === 0 ? `${report.bad.length} were bad and are repaired` : `${open} blobs are bad`;
  const rows = report.bad.map((blob) => `  ${blob.state}: ${blob.digest} (${size(Number(blob.sizeBytes))}) of ${blob.models.join(', ')}`);
  const hint =
    open === 0 ? '' : 'Try: agentctl verify --repair fetches them from a peer; agentctl replication status shows why it may wait\n';
  return `${[head + end, ...rows].map(printable).join('\n')}\n${hint}`;
}
