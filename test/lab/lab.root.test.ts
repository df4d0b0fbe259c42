// The lab itself, with real keepalived and a stand-in server: what the product's tests rest on.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { setClock, steppedClock } from './clock.ts';
import { run } from './command.ts';
import type { Host } from './host.ts';
import { createLab, type Lab } from './lab.ts';
import { dataRoot, monoMs, runRoot, vipAddress } from './names.ts';
import { outageMs, owners, twoOwnersMs } from './prober/records.ts';
import { hookFile, setLease, standinKit } from './standin/kit.ts';
import { listLabs, pidsIn } from './teardown.ts';

const id = 'labtest';
let lab: Lab;
let a: Host;
let b: Host;

beforeAll(async () => {
  lab = await createLab({ id, nodes: 2, kit: standinKit });
  [a, b] = [lab.host('gpu1'), lab.host('gpu2')];
});
afterAll(() => lab.destroy());

async function eventually(check: () => boolean | Promise<boolean>, timeoutMs = 5000): Promise<void> {
  const deadline = monoMs() + timeoutMs;
  while (!(await check())) {
    if (monoMs() > deadline) throw new Error(`not within ${timeoutMs} ms: ${check}`);
    await delay(20);
  }
}

async function hasVip(host: Host): Promise<boolean> {
  return (await host.exec(['ip', '-br', 'address', 'show', 'eth0'])).stdout.includes(vipAddress);
}

/** How many of so many requests, made at once, are answered within 1.5 s. */
async function answered(from: Host['exec'], address: string, tries: number): Promise<number> {
  const ask = `fetch('http://${address}:11434/', { signal: AbortSignal.timeout(1500) }).then((r) => r.text()).then(() => 1, () => 0)`;
  const script = `Promise.all(Array.from({ length: ${tries} }, () => ${ask})).then((all) => (console.log(all.filter(Boolean).length), process.exit()))`;
  const out = await from([process.execPath, '-e', script]);
  expect(out).toMatchObject({ code: 0 });
  return Number(out.stdout);
}

test('a dead host is silent at once, the other one serves, the revived one comes back without the VIP', async () => {
  await setLease(a, true);
  await using prober = lab.prober({ everyMs: 10 });
  await prober.steady({ after: monoMs(), quietMs: 300, timeoutMs: 5000 });
  const at = await lab.killHost(a);
  expect(pidsIn(a.namespace)).toEqual([]);
  await delay(200);
  await setLease(b, true);
  await prober.steady({ after: at, quietMs: 500, timeoutMs: 5000 });

  expect(outageMs(prober.requests, at)).toBeGreaterThan(200);
  expect(outageMs(prober.requests, at)).toBeLessThan(1500);
  expect(twoOwnersMs(prober.answers)).toBe(0);
  expect(owners(prober.answers).map((o) => lab.hostByMac(o.mac))).toEqual(['gpu1', 'gpu2']);
  const answering = prober.requests.filter((r) => r.error === '').sort((x, y) => x.at - y.at);
  expect([answering[0]?.node, answering.at(-1)?.node]).toEqual(['gpu1', 'gpu2']);

  await lab.reviveHost(a);
  expect((await a.service('web').status()).state).toBe('running');
  expect(await hasVip(a)).toBe(false);
  await setLease(b, false);
});

test('two hosts that both hold the address are seen as two owners', async () => {
  for (const host of [a, b]) await host.exec(['ip', 'address', 'add', `${vipAddress}/32`, 'dev', 'eth0']);
  await using prober = lab.prober();
  await eventually(() => new Set(prober.answers.map((x) => x.mac)).size === 2);
  await eventually(() => twoOwnersMs(prober.answers) > 100);
  for (const host of [a, b]) await host.exec(['ip', 'address', 'del', `${vipAddress}/32`, 'dev', 'eth0']);
});

test('the service manager runs the stop hook after kill -9 and starts the service again', async () => {
  const web = a.service('web');
  const before = await web.status();
  const at = await web.kill();
  await eventually(async () => (await web.status()).starts > before.starts);
  expect(monoMs() - at).toBeGreaterThan(100);
  expect(existsSync(hookFile(a.plan))).toBe(true);
  expect((await web.status()).exit).toBe('signal SIGKILL');
  await web.stop();
  expect(await web.status()).toMatchObject({ state: 'stopped', pid: null });
  await web.start();
});

test('kill -9 of both keepalived processes leaves no address behind', async () => {
  await setLease(a, true);
  await eventually(() => hasVip(a));
  const keepalived = a.service('keepalived');
  expect((await keepalived.pids()).length).toBe(2);
  await keepalived.kill();
  await eventually(async () => !(await hasVip(a)), 1000);
  await eventually(async () => (await keepalived.pids()).length === 2);
});

test('a frozen service stays frozen, also for its service manager, until it is thawed', async () => {
  const web = b.service('web');
  await web.freeze();
  expect(await answered(b.exec, '127.0.0.1', 1)).toBe(0);
  expect((await web.status()).state).toBe('running');
  await web.thaw();
  expect(await answered(b.exec, '127.0.0.1', 1)).toBe(1);
});

test('a cut stops exactly what it names, and heals', async () => {
  await lab.cut(b, { clients: true });
  expect(await answered(lab.client.exec, b.address, 1)).toBe(0);
  expect(await answered(a.exec, b.address, 1)).toBe(1);
  await lab.cut(b, { hosts: [a.address] });
  expect(await answered(lab.client.exec, b.address, 1)).toBe(1);
  expect(await answered(a.exec, b.address, 1)).toBe(0);
  await lab.cut(b, {});
  expect(await answered(a.exec, 'gpu2', 1)).toBe(1);
});

test('packets can be lost at random and their rate limited', async () => {
  await lab.cut(b, { lossPercent: 20 });
  const some = await answered(a.exec, b.address, 40);
  expect(some).toBeGreaterThan(0);
  expect(some).toBeLessThan(40);
  await lab.cut(b, { lossPercent: 100 });
  expect(await answered(a.exec, b.address, 3)).toBe(0);
  await lab.cut(b, {});
  expect(await answered(a.exec, b.address, 40)).toBe(40);
  await lab.rate(b, 1_000_000);
  expect((await run(['tc', '-n', `ohl-${id}-switch`, 'qdisc', 'show', 'dev', 'gpu2'])).stdout).toContain('rate 1Mbit');
  await lab.rate(b, null);
});

test('a carrier lost and found again changes no address', async () => {
  await lab.linkDown(b);
  expect((await b.exec(['ip', '-br', 'link', 'show', 'eth0'])).stdout).toContain('NO-CARRIER');
  await lab.linkUp(b);
  expect((await b.exec(['ip', '-br', 'address', 'show', 'eth0'])).stdout).toContain(b.address);
});

test("a host has a wall clock of its own, while its monotonic clock stays the machine's", async () => {
  setClock(a.plan, 0);
  const script = 'console.log(Date.now(), Number(process.hrtime.bigint()) / 1e6)';
  const read = async () =>
    (await a.exec([process.execPath, '-e', script], { env: { ...process.env, ...steppedClock(a.plan) } })).stdout.split(' ').map(Number);
  const [wall = 0, mono = 0] = await read();
  expect(Math.abs(wall - Date.now())).toBeLessThan(5000);
  lab.clockStep(a, 3_600_000);
  const [later = 0, monoLater = 0] = await read();
  expect(Math.abs(later - wall - 3_600_000)).toBeLessThan(5000);
  expect(monoLater - mono).toBeLessThan(5000);
});

test.each(['SIGINT', 'SIGKILL'] as const)('a lab whose process ends by %s leaves no namespace, process or file', async (how) => {
  const script = [
    `import { createLab } from ${JSON.stringify(join(import.meta.dirname, 'lab.ts'))};`,
    `import { standinKit } from ${JSON.stringify(join(import.meta.dirname, 'standin/kit.ts'))};`,
    `await createLab({ id: 'labint', nodes: 2, kit: standinKit }); console.log('up'); setInterval(() => undefined, 1000);`,
  ].join('\n');
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exit = once(child, 'exit');
  await once(child.stdout, 'data');
  const pids = pidsIn('ohl-labint-gpu1');
  child.kill(how);
  expect(await exit).toEqual([null, how]);
  expect(pids.length).toBeGreaterThanOrEqual(3); // service manager, server, keepalived and soon its child
  if (how === 'SIGKILL') await eventually(() => !listLabs().includes('labint'));
  expect(listLabs()).not.toContain('labint');
  for (const root of [runRoot, dataRoot, '/etc/netns']) expect(existsSync(join(root, 'labint'))).toBe(false);
  expect(existsSync('/etc/netns/ohl-labint-gpu1')).toBe(false);
  for (const pid of pids) expect(isAlive(pid)).toBe(false);
});

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
