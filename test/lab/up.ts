// `make lab`: the lab of the demo without its story, left running. Environment: NODES (3), PRESET (standard), OLLAMA_BIN.
import { accessSync, constants } from 'node:fs';
import { resolve } from 'node:path';
import { waitHealthy } from './cluster.ts';
import { createProductLab, howToTalk } from './product-lab.ts';

async function main(env: NodeJS.ProcessEnv): Promise<void> {
  const nodes = Number(env.NODES || 3);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > 9) throw new Error(`NODES=${env.NODES}: use a number from 1 to 9`);
  const ollamaBin = env.OLLAMA_BIN ? resolve(env.OLLAMA_BIN) : undefined;
  if (ollamaBin !== undefined) accessSync(ollamaBin, constants.X_OK);
  const lab = await createProductLab({ id: 'lab', nodes, preset: env.PRESET || 'standard', ollamaBin });
  const healthy = await waitHealthy(lab).catch((error: Error) => {
    process.stdout.write(`not healthy yet: ${error.message}\n`);
    return null;
  });
  lab.keep();
  if (healthy !== null) process.stdout.write((await lab.host(healthy.holder).agentctl(['status'])).stdout);
  process.stdout.write(`${howToTalk(lab)}\n`);
  process.exitCode = healthy === null ? 1 : 0;
}

try {
  await main(process.env);
} catch (error) {
  process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
