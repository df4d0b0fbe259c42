// A store's life in a real cluster: models arrive, a deletion follows and is taken back, rot on the active is repaired from a standby, and a
// wiped active takes nothing with it.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeModel } from '../fake-ollama/store.ts';
import { isVerified, manifestFile, waitHealthy } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import type { Lab } from '../lab/lab.ts';
import { createProductLab } from '../lab/product-lab.ts';

const names = ['alpha', 'beta', 'gamma', 'delta'];
const pathOf = (name: string) => `registry.ollama.ai/library/${name}/latest`;
const storeOf = (host: Host) => join(host.plan.dataDir, 'models');
let lab: Lab;
let active: Host;
let standbys: readonly Host[];

beforeAll(async () => {
  lab = await createProductLab({ id: 'e2estore', nodes: 3, preset: 'fast', config: { replication: { graceMs: 1000, reserveBytes: 0 } } });
  const status = await waitHealthy(lab);
  active = lab.host(status.holder);
  standbys = lab.hosts.filter((host) => host !== active);
  for (const name of names) writeModel(storeOf(active), name, { seed: name });
});
afterAll(() => lab?.destroy());

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await condition()); await delay(50))
    if (Date.now() > end) throw new Error(`not within 60 s: ${what}`);
}

const has = (host: Host, name: string) => existsSync(manifestFile(host, pathOf(name)));

test('models of the active arrive on every standby, verified', async () => {
  await until('every model on every standby', () => standbys.every((host) => names.every((name) => has(host, name))));
  for (const host of standbys) for (const name of names) expect(await isVerified(host, pathOf(name))).toBe(true);
});

test('a blob of a model that the active still downloads waits on the standbys, and the model follows its manifest', async () => {
  const elsewhere = mkdtempSync(join(tmpdir(), 'e2e-download-'));
  writeModel(elsewhere, 'late', { seed: 'late' });
  const source = join(elsewhere, 'blobs');
  const [largest, ...rest] = readdirSync(source).sort((a, b) => statSync(join(source, b)).size - statSync(join(source, a)).size);
  if (largest === undefined) throw new Error('blobs');
  const place = (name: string) => cpSync(join(source, name), join(storeOf(active), 'blobs', name));
  place(largest);
  const held = (host: Host) => existsSync(join(storeOf(host), '.agent-stage', `${largest}.held`));
  await until('the blob held by every standby', () => standbys.every(held));
  for (const host of standbys) expect(existsSync(join(storeOf(host), 'blobs', largest))).toBe(false);
  rest.forEach(place);
  cpSync(join(elsewhere, 'manifests'), join(storeOf(active), 'manifests'), { recursive: true });
  rmSync(elsewhere, { recursive: true });
  await until('the model on every standby', () => standbys.every((host) => has(host, 'late')));
  for (const host of standbys) expect([await isVerified(host, pathOf('late')), held(host)]).toEqual([true, false]);
});

test('a deletion follows after the grace time, is kept, and comes back by restore', async () => {
  // A tombstone needs a standby that has seen the model, and the active well for a while.
  await delay(12_000);
  rmSync(manifestFile(active, pathOf('alpha')));
  await until('alpha gone from the standbys', () => standbys.every((host) => !has(host, 'alpha')));
  const [first] = standbys;
  if (first === undefined) throw new Error('a standby');
  const shown = (await first.agentctl(['replication', 'status', '--json'])).json as { quarantine: { model: string; kind: string }[] };
  expect(shown.quarantine).toMatchObject([{ model: 'alpha:latest', kind: 'deleted' }]);
  const restored = await first.agentctl(['models', 'restore', 'alpha']);
  expect(restored.code, restored.stdout + restored.stderr).toBe(0);
  expect(await isVerified(first, pathOf('alpha'))).toBe(true);
  await delay(3000);
  expect(has(first, 'alpha')).toBe(true);
});

test('rot on the active is found by verify and repaired from a standby', async () => {
  const blobs = join(storeOf(active), 'blobs');
  const manifest = JSON.parse(readFileSync(manifestFile(active, pathOf('beta')), 'utf8')) as { layers: { digest: string; size: number }[] };
  const [weights] = manifest.layers;
  if (weights === undefined) throw new Error('weights');
  writeFileSync(join(blobs, weights.digest.replace(':', '-')), Buffer.alloc(weights.size, 7));
  const ran = await active.agentctl(['verify', 'beta', '--repair', '--timeout', '60']);
  expect(ran.code, ran.stdout + ran.stderr).toBe(0);
  expect(await isVerified(active, pathOf('beta'))).toBe(true);
});

test('an active that lost everything takes nothing with it, and the alert says what to do', async () => {
  rmSync(join(storeOf(active), 'manifests'), { recursive: true });
  await until('the alert', async () => {
    const told = await Promise.all(standbys.map((host) => host.agentctl(['status', '--json'])));
    const warnings = told.map(({ json }) => (json as { warnings: string[] }).warnings.join());
    return warnings.every((text) => text.includes('agentctl replication accept-deletes'));
  });
  await delay(3000);
  for (const host of standbys) for (const name of ['beta', 'gamma', 'delta']) expect(has(host, name)).toBe(true);
  expect(readdirSync(join(storeOf(active), 'blobs')).length).toBeGreaterThan(0);
});

test('the loss accepted on one node is accepted on every standby that waits for it', async () => {
  const ran = await active.agentctl(['replication', 'accept-deletes']);
  expect(ran.code, ran.stdout + ran.stderr).toBe(0);
  for (const host of standbys) expect(ran.stdout).toContain(host.name);
  await until('no alert any more', async () => {
    const told = await Promise.all(standbys.map((host) => host.agentctl(['replication', 'status', '--json'])));
    return told.every(({ json }) => (json as { alert: string }).alert === '');
  });
});
