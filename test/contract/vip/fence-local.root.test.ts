// The stop hook end to end: a dead agent, a real address, a real fence, a real Redis.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { leaseKey, scriptArgs, scriptText } from '../../../src/drivers/redis/scripts.ts';
import { monoMs, openStage, type Stage, VIP } from './stage.ts';

const ME = 'gpu1#1';
const CLUSTER = 'lab';
let stage: Stage;
let server: ChildProcess;
let redis: Redis;
let listener: Server | null = null;

beforeAll(async () => {
  stage = openStage('f');
  const socket = `${stage.runDir}/redis.sock`;
  const args = ['--port', '6379', '--bind', '127.0.0.1', '--unixsocket', socket, '--save', '', '--dir', stage.runDir];
  server = spawn('ip', ['netns', 'exec', stage.host, 'redis-server', ...args], { stdio: 'ignore' });
  redis = new Redis({ path: socket, maxRetriesPerRequest: null, retryStrategy: () => 20 });
  redis.on('error', () => {});
  await redis.ping();
});
beforeEach(() => redis.flushall());
afterEach(async () => {
  listener?.close();
  listener = null;
  for (const file of ['claim.json', 'handon.json', 'agent.sock']) rmSync(`${stage.runDir}/${file}`, { force: true });
  await stage.reset();
});
afterAll(async () => {
  redis.disconnect();
  const gone = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGKILL');
  await gone;
  await stage.end();
});

type Run = { readonly code: number; readonly out: string; readonly err: string; readonly ms: number };

function fenceLocal(...args: string[]): Promise<Run> {
  const program = new URL('../../../src/main.ts', import.meta.url).pathname;
  const from = monoMs();
  return new Promise((resolve) => {
    const argv = ['netns', 'exec', stage.host, process.execPath, program, 'agentctl', 'fence', '--local', '--run', stage.runDir, ...args];
    execFile('ip', argv, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err, ms: monoMs() - from });
    });
  });
}

/** How long a start of Node takes that does nothing, ms. */
function bareStart(): number {
  const from = monoMs();
  execFileSync('ip', ['netns', 'exec', stage.host, process.execPath, '-e', '0']);
  return monoMs() - from;
}

function writeClaim(epoch: number, port = 6379): void {
  const claim = {
    me: ME,
    epoch,
    cluster: CLUSTER,
    driver: 'keepalived',
    vip: { address: `${VIP}/24`, interface: 'eth0' },
    redis: [{ name: 'one', host: '127.0.0.1', port, user: 'ha', passwordFile: null, secretFile: null, tls: null }],
  };
  writeFileSync(`${stage.runDir}/claim.json`, JSON.stringify(claim));
}

/** The record as the agent's claim leaves it. */
async function claimInRedis(epoch: number, me = ME): Promise<void> {
  const call = { script: 'read', nonce: 'n0' } as const;
  await redis.eval(scriptText('read'), 1, leaseKey(CLUSTER), ...scriptArgs(call));
  await redis.hset(leaseKey(CLUSTER), { o: me, e: String(epoch), n: 'n1', rel: '0', heir: '', hi: String(epoch), meta: '{}' });
}

/** A holder that was killed while it held the address. */
async function deadHolder(epoch: number): Promise<void> {
  await stage.startKeepalived();
  const holder = stage.startHolder();
  await holder.fact('fence', (fact) => fact.kind === 'nft');
  holder.order({ k: 'keep', epoch, windowMs: 5950, everyMs: 400 });
  await holder.fact('granted');
  process.kill(holder.pid, 'SIGKILL');
}

test('after a crash the address goes, the fence closes and exactly this claim is released, in under 400 ms', async () => {
  const times: { readonly ms: number; readonly bare: number }[] = [];
  for (const epoch of [5, 6, 7]) {
    await stage.reset();
    await deadHolder(epoch);
    writeClaim(epoch);
    await claimInRedis(epoch);
    expect(await stage.answers()).toBe(true);
    const before = bareStart();
    const run = await fenceLocal();
    expect([run.err, run.code, run.out]).toEqual(['', 0, run.out]);
    expect(run.out.split('\n').map((line) => /^ok {5}([^:]+):/.exec(line)?.[1])).toEqual([
      'sockets',
      'lease',
      'fence',
      'off',
      `release epoch ${epoch}`,
      undefined,
    ]);
    expect(stage.present()).toBe(false);
    expect(stage.inHost('nft', 'list', 'set', 'netdev', 'ollama_ha_fence', 'live')).not.toContain('elements');
    expect(await redis.hmget(leaseKey(CLUSTER), 'o', 'e', 'rel', 'heir')).toEqual([ME, String(epoch), '1', '']);
    times.push({ ms: run.ms, bare: (before + bareStart()) / 2 });
  }
  console.log(`fence --local: ${times.map(({ ms, bare }) => `${ms.toFixed(0)} (bare start ${bare.toFixed(0)})`).join(', ')} ms`);
  // Where neighbours slow the machine down, in proportion to a start of Node that does nothing.
  expect(Math.min(...times.map(({ ms, bare }) => ms / Math.max(1, bare / 40)))).toBeLessThan(400);
});

test('the claim of another owner is left alone', async () => {
  writeClaim(5);
  await claimInRedis(6, 'gpu2#1');
  expect((await fenceLocal()).code).toBe(0);
  expect(await redis.hmget(leaseKey(CLUSTER), 'o', 'e', 'rel')).toEqual(['gpu2#1', '6', '0']);
});

test('without Redis it still fences, names the step that failed, and says so in its exit code', async () => {
  await deadHolder(8);
  writeClaim(8, 6380);
  const run = await fenceLocal();
  expect(run.code).toBe(1);
  expect(run.err).toContain('failed: release epoch 8');
  expect(stage.present()).toBe(false);
});

test('a frozen keepalived does not stop it', async () => {
  await deadHolder(9);
  writeClaim(9);
  await claimInRedis(9);
  for (const pid of stage.keepalivedPids()) process.kill(pid, 'SIGSTOP');
  const run = await fenceLocal();
  expect(run.code).toBe(0);
  expect(run.out).toContain('removed without keepalived');
  expect(stage.present()).toBe(false);
  expect(await redis.hget(leaseKey(CLUSTER), 'rel')).toBe('1');
});

test('while an agent lives the address goes, but its lease is not released', async () => {
  writeClaim(10);
  await claimInRedis(10);
  listener = createServer().listen(`${stage.runDir}/agent.sock`);
  const run = await fenceLocal();
  expect(run.code).toBe(1);
  expect(run.out).toContain('an agent still listens');
  expect(await redis.hget(leaseKey(CLUSTER), 'rel')).toBe('0');
});

test('a claim handed on to the next process is spared while it is young, and not later', async () => {
  writeClaim(11);
  await claimInRedis(11);
  writeFileSync(`${stage.runDir}/handon.json`, JSON.stringify({ skipMs: 60_000 }));
  expect((await fenceLocal()).out).toContain('nothing is fenced');
  expect(await redis.hget(leaseKey(CLUSTER), 'rel')).toBe('0');
  writeFileSync(`${stage.runDir}/handon.json`, JSON.stringify({ skipMs: 1 }));
  await delay(20);
  expect((await fenceLocal()).code).toBe(0);
  expect(await redis.hget(leaseKey(CLUSTER), 'rel')).toBe('1');
});

test('without a claim the address named on the command line is taken down all the same', async () => {
  stage.inHost('ip', 'address', 'add', `${VIP}/24`, 'dev', 'eth0');
  const nothing = await fenceLocal();
  expect([nothing.code, stage.present()]).toEqual([0, true]);
  const run = await fenceLocal('--vip', `${VIP}/24`, '--interface', 'eth0');
  expect(run.code).toBe(0);
  expect(stage.present()).toBe(false);
  expect(readFileSync(`${stage.runDir}/vip/lease`, 'utf8')).toBe('0\n');
});

test('a wrong option is refused with the usage', async () => {
  const run = await fenceLocal('--vip', 'nonsense', '--interface', 'eth0');
  expect(run.code).toBe(64);
  expect(run.err).toContain('not an IP address');
  expect(run.err).toContain('usage:');
});
