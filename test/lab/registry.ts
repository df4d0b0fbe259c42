// The model registry on the client host: what nodes pull from. It redirects blobs to another host name, without which Ollama does not pull.
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Lab } from './lab.ts';
import { clientAddress, clientName, dataRoot, monoMs, projectRoot } from './names.ts';
import { request } from './request.ts';

const port = 5000;

/** Lines for every host's /etc/hosts, so that the registry's two names are known. */
export const registryAliases: readonly string[] = [`${clientAddress} registry.lab blobs.lab`];

/** A generated vision model that the registry serves. */
export type ServedModel = { readonly name: string; readonly bytes: number; readonly blobs: number; readonly seed: string };

/** The name to pull a served model by, and its path below `manifests/`. */
export function pullName(model: ServedModel): { readonly name: string; readonly path: string } {
  return { name: `registry.lab:${port}/library/${model.name}:latest`, path: `registry.lab:${port}/library/${model.name}/latest` };
}

/** Starts the registry with these models and waits until it answers. */
export async function startLabRegistry(lab: Lab, models: readonly ServedModel[]): Promise<void> {
  const dir = join(dataRoot, lab.id, clientName, 'registry');
  const wishes = models.flatMap((m) => ['--model', `${m.name},bytes=${m.bytes},seed=${m.seed},blobs=${m.blobs}`]);
  const program = join(projectRoot, 'test/fake-ollama/registry.ts');
  const options = ['--dir', dir, '--host', '0.0.0.0', '--port', String(port), '--redirect-host', 'blobs.lab'];
  lab.client.daemon('registry', [process.execPath, program, ...options, ...wishes]);
  const deadline = monoMs() + 20_000;
  while (!(await answers(lab))) {
    if (monoMs() > deadline) throw new Error(`the registry does not answer; see ${join(dataRoot, lab.id, clientName, 'registry.log')}`);
    await delay(100);
  }
}

async function answers(lab: Lab): Promise<boolean> {
  return request(lab.client.exec, 'GET', `http://registry.lab:${port}/`).then(
    () => true,
    () => false,
  );
}
