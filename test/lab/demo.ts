// `make demo`: the whole story in a lab of real parts, told step by step. See demo-steps.ts for what each step does.
// Environment: PRESET (standard), KEEP=1, REPORT=FILE, DEMO_STARTED_MS (wall clock at the start of make).
import { writeFileSync } from 'node:fs';
import { waitHealthy } from './cluster.ts';
import { failover, type Move, pullAndReplicate, type Replication, rejoin, switchover } from './demo-steps.ts';
import type { Lab } from './lab.ts';
import { createProductLab, howToTalk } from './product-lab.ts';
import { startLabRegistry } from './registry.ts';
import { createTeller, type Teller } from './teller.ts';

const demoModel = { name: 'minicpm-v-demo', bytes: 200_000_000, blobs: 4, seed: 'demo' };

type Report = {
  readonly preset: string;
  readonly wallMs: number;
  readonly replication: Replication;
  readonly failover: Move;
  readonly switchover: Move;
};

async function main(env: NodeJS.ProcessEnv): Promise<void> {
  const preset = env.PRESET || 'standard';
  const startedMs = Number(env.DEMO_STARTED_MS) || Date.now();
  const tell = createTeller(() => Date.now() - startedMs);
  tell.step(`Build the lab: three hosts and a client as network namespaces on one bridge, preset ${preset}`);
  const lab = await createProductLab({ id: 'demo', nodes: 3, preset });
  try {
    const figures = await story(lab, tell);
    if (env.KEEP === '1') {
      lab.keep();
      tell.text(howToTalk(lab));
    } else {
      tell.step('Clean up');
      lab.destroy();
    }
    const report: Report = { preset, wallMs: Date.now() - startedMs, ...figures };
    if (env.REPORT) writeFileSync(env.REPORT, `${JSON.stringify(report, null, 2)}\n`);
    tell.text(`Done in ${(report.wallMs / 1000).toFixed(1)} s.${env.REPORT ? ` Figures: ${env.REPORT}` : ''}`);
  } catch (error) {
    if (env.KEEP === '1') {
      lab.keep();
      tell.text(howToTalk(lab));
    }
    throw error;
  } finally {
    if (env.KEEP !== '1') lab.destroy();
  }
}

async function story(lab: Lab, tell: Teller): Promise<Omit<Report, 'preset' | 'wallMs'>> {
  tell.step('Wait for a healthy cluster');
  const [healthy] = await Promise.all([waitHealthy(lab), startLabRegistry(lab, [demoModel])]);
  const active = lab.host(healthy.holder);
  tell.text((await active.agentctl(['status'])).stdout.trimEnd());

  tell.step(`Pull a vision model of ${demoModel.bytes / 1e6} MB in ${demoModel.blobs} blobs on the active, ${active.name}`);
  const replication = await pullAndReplicate(lab, active, demoModel, tell);

  tell.step(`A client asks through the VIP every 20 ms; kill the active host ${active.name}: cable out, kill -9 of everything`);
  const moved = await failover(lab, active, tell);

  tell.step(`Bring ${active.name} back`);
  await rejoin(lab, active, tell);

  tell.step('Planned switchover');
  const planned = await switchover(lab, tell);
  return { replication, failover: moved, switchover: planned };
}

try {
  await main(process.env);
} catch (error) {
  process.stderr.write(`demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
