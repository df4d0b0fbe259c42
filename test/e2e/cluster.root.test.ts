// One cluster of real parts through its first day: up, a model, a planned move, a crash, a dead host, and gone without a trace.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ClusterStatus, manifestFile, waitHealthy, waitStatus } from '../lab/cluster.ts';
import { failover, pullAndReplicate, rejoin, switchover } from '../lab/demo-steps.ts';
import type { Lab } from '../lab/lab.ts';
import { dataRoot, monoMs, runRoot } from '../lab/names.ts';
import { outageMs, twoOwnersMs } from '../lab/prober/records.ts';
import { createProductLab } from '../lab/product-lab.ts';
import { pullName, startLabRegistry } from '../lab/registry.ts';
import { listLabs } from '../lab/teardown.ts';
import { silent } from '../lab/teller.ts';

const id = 'e2e';
const model = { name: 'minicpm-v-e2e', bytes: 20_000_000, blobs: 3, seed: 'e2e' };
let lab: Lab;

beforeAll(async () => {
  lab = await createProductLab({ id, nodes: 3, preset: 'fast' });
});
afterAll(() => lab?.destroy());

function active(status: ClusterStatus) {
  return lab.host(status.holder);
}

test('three hosts become a healthy cluster with one active node', async () => {
  const status = await waitHealthy(lab);
  expect(status.mode).toBe('normal');
  expect(status.nodes.map((row) => row.role).sort()).toEqual(['active', 'standby', 'standby']);
  const told = await active(status).agentctl(['status']);
  expect(told.code).toBe(0);
  expect(told.stdout).toContain(`holder ${status.holder}`);
});

test('a model pulled on the active arrives on both standbys, verified, and answers there', async () => {
  const status = await waitHealthy(lab);
  await startLabRegistry(lab, [model]);
  const copied = await pullAndReplicate(lab, active(status), model, silent);
  expect(copied.nodes.map((copy) => copy.verified)).toEqual([true, true]);
  for (const host of lab.hosts) expect(existsSync(manifestFile(host, pullName(model).path))).toBe(true);
});

test('a planned switchover moves the VIP to another node under a higher epoch, and never to two', async () => {
  const before = await waitHealthy(lab);
  const move = await switchover(lab, silent);
  expect(move.from).toBe(before.holder);
  expect(move.to).not.toBe(before.holder);
  expect(move.epoch).toBeGreaterThan(before.epoch);
  expect(move.outageMs).toBeLessThan(1000);
});

test('after kill -9 of the agent its stop hook fences and releases, and the cluster serves again within a second', async () => {
  const before = await waitHealthy(lab);
  const host = active(before);
  await using prober = lab.prober();
  await prober.steady({ after: monoMs(), quietMs: 500, timeoutMs: 20_000 });
  const at = await host.service('agent').kill();
  await prober.steady({ after: at, quietMs: 1000, timeoutMs: 20_000 });
  await prober.stop();
  expect(outageMs(prober.requests, at)).toBeLessThan(1000);
  expect(twoOwnersMs(prober.answers)).toBe(0);
  const after = await waitHealthy(lab);
  expect(after.epoch).toBeGreaterThan(before.epoch);
  expect((await host.service('agent').status()).starts).toBe(2);
});

test('a dead host loses the VIP to one other node within the bound of the preset, and comes back as standby', async () => {
  const before = await waitHealthy(lab);
  const host = active(before);
  const move = await failover(lab, host, silent); // throws when two hosts answered for the VIP
  expect(move.from).toBe(host.name);
  expect(move.epoch).toBeGreaterThan(before.epoch);
  expect(move.outageMs).toBeLessThan(1520);
  await rejoin(lab, host, silent);
  const after = await waitStatus(host, 'one active', (s) => s.holder === move.to);
  expect(after.epoch).toBe(move.epoch);
});

test('the end of a lab leaves no namespace and no file', () => {
  lab.destroy();
  expect(listLabs()).not.toContain(id);
  for (const path of [join(runRoot, id), join(dataRoot, id), `/etc/netns/ohl-${id}-gpu1`]) expect(existsSync(path)).toBe(false);
});
