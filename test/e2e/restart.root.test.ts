// An agent is replaced by the next one (systemctl reload: an upgrade, a new configuration): the lease, its epoch and the address go on.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { waitHealthy, waitStatus } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import type { Lab } from '../lab/lab.ts';
import { monoMs } from '../lab/names.ts';
import { outageMs, owners, twoOwnersMs } from '../lab/prober/records.ts';
import { createProductLab } from '../lab/product-lab.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await createProductLab({ id: 'restart', nodes: 3, preset: 'relaxed' });
  // The first start of a lab compiles everything; an agent judges by its own start how long the next one will take.
  const { holder } = await waitHealthy(lab);
  for (const host of lab.hosts) if (host.name !== holder) await reload(host);
  await waitHealthy(lab);
  const moved = await lab.host(holder).agentctl(['switchover']);
  expect(moved.code, moved.stderr).toBe(0);
  await reload(lab.host(holder));
});
afterAll(() => lab?.destroy());

/** Reloads the agent of a host and waits until its next process has taken over from it. */
async function reload(host: Host): Promise<void> {
  const before = (await host.service('agent').status()).starts;
  await host.service('agent').reload();
  for (const until = monoMs() + 15_000; (await host.service('agent').status()).starts === before; await delay(50))
    if (monoMs() > until) throw new Error(`${host.name}: the agent was not started again`);
  await waitStatus(host, 'the next process answers', (s) => s.holder !== '');
}

test('a holder that is reloaded keeps epoch and address, and no request is lost', async () => {
  const before = await waitHealthy(lab);
  const holder = lab.host(before.holder);
  await using prober = lab.prober();
  await prober.steady({ after: monoMs(), quietMs: 500, timeoutMs: 20_000 });
  const at = monoMs();
  await reload(holder);
  const after = await waitHealthy(lab);
  await prober.steady({ after: monoMs(), quietMs: 1000, timeoutMs: 20_000 });
  await prober.stop();
  expect({ holder: after.holder, epoch: after.epoch }).toEqual({ holder: before.holder, epoch: before.epoch });
  expect(outageMs(prober.requests, null, at)).toBe(0);
  expect(new Set(owners(prober.answers).map((o) => o.mac)).size).toBe(1);
  expect(twoOwnersMs(prober.answers)).toBe(0);
});

test('after that the new process moves the role away as any holder does', async () => {
  const before = await waitHealthy(lab);
  const moved = await lab.host(before.holder).agentctl(['switchover']);
  expect(moved.code, moved.stderr).toBe(0);
  const after = await waitHealthy(lab);
  expect(after.holder).not.toBe(before.holder);
  expect(after.epoch).toBeGreaterThan(before.epoch);
});

test('a reloaded standby costs neither its vote nor the lease', async () => {
  const before = await waitHealthy(lab);
  const standby = lab.hosts.find((host) => host.name !== before.holder);
  if (standby === undefined) throw new Error('no standby');
  const runIds = async () => {
    const { json } = await lab.host(before.holder).agentctl(['redis', 'status', '--json']);
    return z.object({ servers: z.array(z.object({ server: z.string(), runId: z.string().min(1), up: z.literal(true) })) }).parse(json);
  };
  const votes = await runIds();
  await reload(standby);
  const after = await waitHealthy(lab);
  expect(after.epoch).toBe(before.epoch);
  expect(await runIds()).toEqual(votes);
});

test('a configuration that would be refused ends nothing', async () => {
  const { holder } = await waitHealthy(lab);
  const host = lab.host(holder);
  const file = join(host.plan.dataDir, 'etc/agent.yaml');
  const good = readFileSync(file, 'utf8');
  const { pid, starts } = await host.service('agent').status();
  writeFileSync(file, `${good}nonsense: true\n`);
  await host.service('agent').reload();
  const log = join(host.plan.logDir, 'agent.log');
  for (const until = monoMs() + 5000; !readFileSync(log, 'utf8').includes('"reload_refused"'); await delay(50))
    if (monoMs() > until) throw new Error('the refusal was not told');
  writeFileSync(file, good);
  expect(await host.service('agent').status()).toMatchObject({ pid, starts, state: 'running' });
  expect(readFileSync(log, 'utf8')).toMatch(/"reload_refused".*nonsense/);
});
