// The CA of a running cluster is changed, step by step, and nobody loses anything by it.
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitHealthy } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import type { Lab } from '../lab/lab.ts';
import { dataRoot } from '../lab/names.ts';
import { createProductLab } from '../lab/product-lab.ts';

const id = 'pki';
const ca = join(dataRoot, id, 'pki');
let lab: Lab;

beforeAll(async () => {
  lab = await createProductLab({ id, nodes: 3, preset: 'standard' });
});
afterAll(() => lab?.destroy());

const pkiOf = (host: Host, file: string) => join(host.plan.dataDir, 'etc/pki', file);
const renewals = (host: Host) => (readFileSync(join(host.plan.logDir, 'agent.log'), 'utf8').match(/"event":"pki-renewed"/g) ?? []).length;

async function pki(host: Host, ...args: readonly string[]): Promise<void> {
  const said = await host.agentctl(['pki', ...args]);
  expect(said, said.stderr).toMatchObject({ code: 0 });
}

/** Brings new files to every host, all at once, and waits until every agent uses them. */
async function distribute(put: (host: Host) => Promise<void>): Promise<void> {
  await Promise.all(
    lab.hosts.map(async (host) => {
      const before = renewals(host);
      await put(host);
      for (const until = performance.now() + 15_000; renewals(host) === before; await pause(100))
        if (performance.now() > until) throw new Error(`${host.name} does not use its new certificates`);
    }),
  );
}

const copyCa = () => distribute(async (host) => copyFileSync(join(ca, 'ca.crt'), pkiOf(host, 'ca.crt')));

test('through all three steps the same node holds the lease under the same epoch, and old certificates are refused afterwards', async () => {
  const before = await waitHealthy(lab);
  const [first] = lab.hosts;
  const standby = lab.hosts.find((host) => host.name !== before.holder);
  if (first === undefined || standby === undefined) throw new Error('no hosts');
  for (const file of ['node.crt', 'node.key']) copyFileSync(pkiOf(standby, file), pkiOf(standby, `first-${file}`));

  await pki(first, 'rotate', '--dir', ca, '--step', 'begin');
  await copyCa();
  await pki(first, 'rotate', '--dir', ca, '--step', 'switch');
  await distribute((host) => pki(host, 'issue', '--dir', ca, '--node', host.name, '--out', pkiOf(host, ''), '--renew'));
  await pki(first, 'rotate', '--dir', ca, '--step', 'finish');
  await copyCa();

  // A process that starts now has nothing but the new CA: it reaches peers and all three Redis servers.
  await standby.service('agent').kill();
  const after = await waitHealthy(lab);
  expect({ holder: after.holder, epoch: after.epoch }).toEqual({ holder: before.holder, epoch: before.epoch });
  const { json } = await standby.agentctl(['redis', 'status', '--json']);
  expect(JSON.stringify(json)).not.toContain('"up":false');

  const asked = ['status', '--host', before.holder];
  expect((await standby.agentctl(asked)).code).toBeLessThan(4);
  const old = await standby.agentctl([...asked, '--cert', pkiOf(standby, 'first-node.crt'), '--key', pkiOf(standby, 'first-node.key')]);
  expect(old.code).toBe(4);
});
