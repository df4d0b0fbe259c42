// agentctl drill on a cluster of three, one drill after the other: what it refuses, what it reports, and that it takes everything back.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitHealthy } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import type { Lab } from '../lab/lab.ts';
import { projectRoot } from '../lab/names.ts';
import { createProductLab } from '../lab/product-lab.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await createProductLab({ id: 'drill', nodes: 3, preset: 'fast' });
}, 60_000);
afterAll(() => lab?.destroy());

type Report = {
  readonly passed: boolean;
  readonly problems: readonly string[];
  readonly moved: boolean;
  readonly before: { readonly holder: string; readonly epoch: number };
  readonly after: { readonly holder: string; readonly epoch: number };
  readonly outage: { readonly failed: number; readonly asked: number };
  readonly timeline: readonly { readonly what: string }[];
  readonly history: readonly { readonly from: string; readonly to: string; readonly cause: string }[];
};

async function active(): Promise<Host> {
  return lab.host((await waitHealthy(lab)).holder);
}

async function drill(host: Host, kind: string, ...more: string[]): Promise<Report> {
  const out = await host.agentctl(['drill', kind, '--yes', '--json', ...more], { timeoutMs: 90_000 });
  expect(out, out.stdout + out.stderr).toMatchObject({ code: 0 });
  return out.json as Report;
}

test('without --yes it says what it would do, and in maintenance or a pause it refuses', async () => {
  const host = await active();
  const asked = await host.agentctl(['drill', 'freeze']);
  expect(asked.code).toBe(1);
  expect(asked.stderr).toMatch(/drill freeze would freeze the agent of gpu\d for at most 15 s: the active role/);
  await host.agentctl(['pause', '--wait']);
  const paused = await host.agentctl(['drill', 'freeze', '--yes']);
  expect(paused.code).toBe(1);
  expect(paused.stderr).toContain('not in its normal mode but: paused');
  await host.agentctl(['resume', '--wait']);
  expect((await waitHealthy(lab)).holder).toBe(host.name);
}, 60_000);

test.each(['stop-ollama', 'kill-agent', 'freeze', 'partition'])(
  '%s on the active node: the role moves, the outage is told, everything comes back',
  async (kind) => {
    const host = await active();
    const report = await drill(host, kind);
    expect(report).toMatchObject({ passed: true, problems: [], moved: true, before: { holder: host.name } });
    expect(report.after.epoch).toBeGreaterThan(report.before.epoch);
    expect(report.outage.asked).toBeGreaterThan(20);
    process.stdout.write(`drill ${kind}: ${JSON.stringify(report.outage)}
`);
    expect(report.history[0]).toMatchObject({ to: report.after.holder });
    const told = report.timeline.map(({ what }) => what);
    expect(told).toEqual(
      expect.arrayContaining(['another host answers at the address', 'the failure is taken back', 'everything is as before']),
    );
    expect((await host.exec(['nft', 'list', 'tables'])).stdout).not.toContain('drill');
  },
  60_000,
);

test('doctor on a standby hears the adverts of the active node, knows the clocks, and leaves nothing behind', async () => {
  const { name } = await active();
  const standby = lab.hosts.find((host) => host.name !== name) ?? lab.host(name);
  const { facts } = (await standby.agentctl(['doctor', '--json'])).json as {
    facts: { vip: { advertsHeard: number; adverts: string }; clock: { others: { node: string; aheadMs: number; unsureMs: number }[] } };
  };
  expect(facts.vip.adverts).toBe('unicast');
  expect(facts.vip.advertsHeard).toBeGreaterThan(0);
  expect(facts.clock.others.map(({ node }) => node).sort()).toEqual(
    lab.hosts.map((host) => host.name).filter((other) => other !== standby.name),
  );
  for (const { aheadMs, unsureMs } of facts.clock.others) expect(Math.abs(aheadMs)).toBeLessThanOrEqual(unsureMs + 5);
  expect((await standby.exec(['nft', 'list', 'tables'])).stdout).not.toContain('doctor');
}, 30_000);

test('redis: one vote less moves nothing', async () => {
  const host = await active();
  const report = await drill(host, 'redis', '--for', '3');
  expect(report).toMatchObject({ passed: true, moved: false, outage: { failed: 0 } });
}, 60_000);

test('when agentctl itself is killed in the middle, the agent goes on all the same', async () => {
  const host = await active();
  const [pid = 0] = await host.service('agent').pids();
  const state = () => /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  const config = join(host.plan.dataDir, 'etc/agent.yaml');
  const argv = ['netns', 'exec', host.namespace, process.execPath, join(projectRoot, 'src/main.ts'), 'agentctl', '--config', config];
  const killed = spawn('ip', [...argv, 'drill', 'freeze', '--yes', '--for', '60'], { stdio: 'ignore' });
  await expect.poll(state, { timeout: 15_000, interval: 20 }).toBe('T');
  killed.kill('SIGKILL');
  await expect.poll(state, { timeout: 5000, interval: 20 }).not.toBe('T');
  await waitHealthy(lab);
}, 60_000);
