// Several addresses of both families on one real host: they come, answer, go and fall silent together.
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { checkKeepalived } from '../../../src/cli/keepalived-check.ts';
import { type Holder, monoMs, openStage, type Stage, VIP, VIP6 } from './stage.ts';

const SECOND = '10.77.0.101';
const WINDOW_MS = 1950;

let stage: Stage;

function onStage(label: string, vips: readonly string[], node?: string): void {
  beforeAll(() => {
    stage = openStage(label, vips, node);
  });
  afterEach(() => stage.reset());
  afterAll(() => stage.end());
}

async function held(epoch: number, driver: 'keepalived' | 'address' = 'keepalived'): Promise<Holder> {
  if (driver === 'keepalived') await stage.startKeepalived();
  const holder = stage.startHolder(driver);
  await holder.fact('fence', (fact) => fact.kind === 'nft');
  holder.order({ k: 'want', want: { on: false, epoch: 0 } });
  await holder.fact('ended');
  holder.order({ k: 'keep', epoch, windowMs: WINDOW_MS, everyMs: 400 });
  await holder.fact('granted', (fact) => fact.epoch === epoch);
  return holder;
}

async function revoked(holder: Holder, epoch: number): Promise<void> {
  holder.order({ k: 'want', want: { on: false, epoch } });
  await holder.fact('ended', (fact) => fact.epoch === epoch);
  expect(stage.present()).toBe(false);
}

/** On a busy machine a dial may time out once. */
async function answering(...addresses: string[]): Promise<void> {
  await expect.poll(() => stage.dials(...addresses), { timeout: 5000 }).toBe(true);
}

/** Freezes everything and returns how long any of the addresses still answered, ms. */
async function silentAfter(holder: Holder, addresses: readonly string[]): Promise<number> {
  const pids = [holder.pid, ...stage.keepalivedPids()];
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  const frozen = monoMs();
  let last = frozen;
  const one = async (address: string) => {
    for (;;) {
      const asked = monoMs();
      if (!(await stage.dials(address))) return;
      last = Math.max(last, asked);
    }
  };
  // One after the other: a dial forgets every neighbour.
  try {
    for (const address of addresses) await one(address);
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
  return last - frozen;
}

describe('two IPv4 addresses and one IPv6 address, by keepalived', () => {
  onStage('m', [`${VIP}/24`, `${SECOND}/24`, `${VIP6}/64`]);

  test('keepalived accepts the file: the other family stands beside its own', async () => {
    const paths = { file: `${stage.runDir}/keepalived.conf`, script: `${stage.runDir}/libexec/vip-deadline`, daemonOptions: '/nowhere' };
    expect(readFileSync(paths.file, 'utf8')).toContain('virtual_ipaddress_excluded');
    const rows = await checkKeepalived(paths, (program, args) => ['ip', ['netns', 'exec', stage.host, program, ...args]]);
    expect(rows.filter((row) => row.problem !== '')).toEqual([]);
  });

  test('all answer after one grant, and none after one revocation', async () => {
    const holder = await held(40);
    await answering(VIP, SECOND, VIP6);
    await revoked(holder, 40);
    for (const address of [VIP, SECOND, VIP6]) expect([address, await stage.dials(address)]).toEqual([address, false]);
    for (const set of ['live', 'live6']) {
      expect(stage.inHost('nft', 'list', 'set', 'netdev', 'ollama_ha_fence', set)).not.toContain('elements');
    }
  });

  test('neighbours that still have another MAC of them learn the new one, in both families', async () => {
    const inClient = (...argv: string[]) => execFileSync('ip', ['-n', stage.client, ...argv], { encoding: 'utf8' });
    for (const address of [VIP, SECOND, VIP6])
      inClient('neigh', 'replace', address, 'lladdr', '02:00:00:00:00:99', 'dev', 'eth0', 'nud', 'stale');
    await held(45);
    const mac = stage.inHost('cat', '/sys/class/net/eth0/address').trim();
    for (const address of [VIP, SECOND, VIP6])
      await expect.poll(() => inClient('neigh', 'show', address), { timeout: 2000 }).toContain(mac);
  });

  test('with everything frozen the kernel silences all of them at the end of the lease', async () => {
    expect(await silentAfter(await held(41), [VIP, VIP6, SECOND])).toBeLessThan(WINDOW_MS + 25);
  });

  test('a connection to the IPv6 address is reset by a revocation', async () => {
    const holder = await held(42);
    const port = 18_100 + (process.pid % 1000);
    const listen = `require('node:net').createServer((s) => s.on('error', () => {}).write('.')).listen(${port}, '::', () => console.log('up'))`;
    const server = await started(stage.host, listen, 'up');
    const connect = `const s = require('node:net').connect(${port}, '${VIP6}'); s.on('data', () => console.log('open')); s.on('error', (e) => console.log(e.code));`;
    const client = await started(stage.client, connect, 'open');
    const said = new Promise((resolve) => client.stdout.once('data', (chunk) => resolve(String(chunk).trim())));
    await revoked(holder, 42);
    expect(await said).toBe('ECONNRESET');
    server.kill('SIGKILL');
  });

  test('one address of three that somebody removes is put back', async () => {
    const holder = await held(43);
    const from = monoMs();
    stage.inHost('ip', 'address', 'del', `${VIP6}/64`, 'dev', 'eth0');
    await holder.fact('address', (fact) => fact.present === true, from + 500);
    await answering();
  });

  test('a stray second address on a standby is taken off', async () => {
    await stage.startKeepalived();
    const holder = stage.startHolder();
    await holder.fact('fence', (fact) => fact.kind === 'nft');
    holder.order({ k: 'want', want: { on: false, epoch: 0 } });
    await holder.fact('ended');
    stage.inHost('ip', 'address', 'add', `${SECOND}/24`, 'dev', 'eth0');
    await expect.poll(() => stage.present(), { timeout: 3000 }).toBe(false);
  });

  test('fence --local takes all of them down, from the claim alone', async () => {
    const holder = await held(44);
    process.kill(holder.pid, 'SIGKILL');
    const vip = { address: `${VIP}/24`, addresses: [`${VIP}/24`, `${SECOND}/24`, `${VIP6}/64`], interface: 'eth0' };
    const claim = { me: 'gpu1#1', epoch: 0, cluster: 'lab', driver: 'keepalived', vip, redis: [] };
    writeFileSync(`${stage.runDir}/claim.json`, JSON.stringify(claim));
    for (const pid of stage.keepalivedPids()) process.kill(pid, 'SIGSTOP');
    const main = new URL('../../../src/main.ts', import.meta.url).pathname;
    const out = stage.inHost(process.execPath, main, 'agentctl', 'fence', '--local', '--run', stage.runDir);
    rmSync(`${stage.runDir}/claim.json`);
    expect(out).toContain('removed without keepalived');
    expect(stage.present()).toBe(false);
  });
});

describe('an IPv6 cluster with addresses of both families, by keepalived', () => {
  onStage('s', [`${VIP6}/64`, `${VIP}/24`], 'fd77::1');

  test('a grant, a revocation and the end of the lease hold for both', async () => {
    const holder = await held(50);
    await answering(VIP, VIP6);
    await revoked(holder, 50);
    holder.order({ k: 'keep', epoch: 51, windowMs: WINDOW_MS, everyMs: 400 });
    await holder.fact('granted', (fact) => fact.epoch === 51);
    expect(await silentAfter(holder, [VIP6, VIP])).toBeLessThan(WINDOW_MS + 25);
  });
});

describe('both families by the agent alone', () => {
  onStage('d', [`${VIP}/24`, `${VIP6}/64`]);

  test('both answer, go together, and fall silent at the end of the lease', async () => {
    const holder = await held(60, 'address');
    await answering();
    await revoked(holder, 60);
    holder.order({ k: 'keep', epoch: 61, windowMs: WINDOW_MS, everyMs: 400 });
    await holder.fact('granted', (fact) => fact.epoch === 61);
    expect(await silentAfter(holder, [VIP6, VIP])).toBeLessThan(WINDOW_MS + 25);
  });

  test('a neighbour that still has the old MAC of the IPv6 address learns the new one at once', async () => {
    const inClient = (...argv: string[]) => execFileSync('ip', ['-n', stage.client, ...argv], { encoding: 'utf8' });
    inClient('neigh', 'replace', VIP6, 'lladdr', '02:00:00:00:00:99', 'dev', 'eth0', 'nud', 'stale');
    const before = stage.inHost('cat', '/proc/sys/net/ipv6/conf/eth0/accept_dad');
    await held(62, 'address');
    await delay(100);
    const mac = stage.inHost('cat', '/sys/class/net/eth0/address').trim();
    expect(inClient('-6', 'neigh', 'show', VIP6)).toContain(mac);
    expect(stage.inHost('cat', '/proc/sys/net/ipv6/conf/eth0/accept_dad')).toBe(before);
    // Usable at once, and never the source of the host's own connections.
    expect(stage.inHost('ip', '-o', 'address', 'show', 'to', VIP6)).toMatch(/deprecated/);
    expect(stage.inHost('ip', '-o', 'address', 'show', 'to', VIP6)).not.toMatch(/tentative/);
  });
});

type Script = ReturnType<typeof spawnNode>;

function spawnNode(namespace: string, text: string) {
  return spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', text], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** A program in a namespace, once it has said its first word. */
function started(namespace: string, text: string, word: string): Promise<Script> {
  const child = spawnNode(namespace, text);
  return new Promise((resolve, reject) => {
    child.stdout.once('data', (chunk) => (String(chunk).trim() === word ? resolve(child) : reject(new Error(String(chunk)))));
  });
}
