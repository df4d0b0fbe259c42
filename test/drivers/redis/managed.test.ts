// The managed redis-server: started, adopted, watched, ended. Processes are ended by the pids the tests were told.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { issueCertificate, makeCa } from '../../../src/cli/certificates.ts';
import { type ManagedRedis, type ManagedRedisOptions, startRedisServer } from '../../../src/drivers/redis-server/server.ts';
import { type CertificateFiles, makeCertificates } from './certificates.ts';
import { cluster, freePort, password } from './redis-process.ts';

let home: string;
let tls: CertificateFiles;
let options: ManagedRedisOptions;
let lines: string[];
let opened: ManagedRedis[];

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'ohl managed-')); // a blank in the path must not matter
  tls = await makeCertificates(join(home, 'pki'), `gpu1.${cluster}.ollama-ha`);
  lines = [];
  opened = [];
  options = {
    dir: join(home, 'state', 'redis'),
    runDir: join(home, 'run'),
    port: await freePort(),
    bind: ['127.0.0.1'],
    password,
    cluster,
    tls,
    log: (level, event, text) => lines.push(`${level} ${event} ${text}`),
  };
});
afterEach(async () => {
  for (const managed of opened) await managed.stop();
  rmSync(home, { recursive: true, force: true });
});

async function start(change: Partial<ManagedRedisOptions> = {}): Promise<ManagedRedis> {
  const managed = await startRedisServer({ ...options, ...change });
  opened.push(managed);
  return managed;
}

function pidOf(managed: ManagedRedis): number {
  const { pid } = managed.view();
  if (pid === null) throw new Error('no server runs');
  return pid;
}

function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('it starts with TLS only, no data on disk, and no secret in its files or arguments', async () => {
  const managed = await start();
  expect(managed.adopted).toBe(false);
  const conf = readFileSync(join(options.dir, 'redis.conf'), 'utf8');
  const acl = readFileSync(join(options.dir, 'users.acl'), 'utf8');
  expect(conf).toMatch(/^port 0$/m);
  expect(conf).toMatch(/^tls-auth-clients yes$/m);
  expect(conf).toMatch(/^maxmemory-policy noeviction$/m);
  expect(acl).toMatch(/^user default reset$/m);
  expect(conf + acl + readFileSync(`/proc/${pidOf(managed)}/cmdline`, 'utf8')).not.toContain(password);
  for (const file of ['redis.conf', 'users.acl']) expect(statSync(join(options.dir, file)).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(options.runDir, 'redis.pid'), 'utf8').trim()).toBe(String(pidOf(managed)));
});

test('a client without a certificate of the cluster gets no word from it', async () => {
  await start();
  const ca = readFileSync(tls.ca);
  const stranger = new Redis({
    port: options.port,
    host: '127.0.0.1',
    username: 'ha',
    password,
    tls: { ca, checkServerIdentity: () => undefined },
    lazyConnect: true,
    retryStrategy: () => null,
  });
  stranger.on('error', () => {});
  await expect(stranger.connect().then(() => stranger.ping())).rejects.toThrow();
  stranger.disconnect();
});

test('it outlives the agent object and the next one adopts it', async () => {
  const first = await start();
  first.detach();
  const second = await start();
  expect(second.adopted).toBe(true);
  expect(pidOf(second)).toBe(pidOf(first));
});

test('it outlives a killed agent process and is adopted, also when its pid file is gone', async () => {
  const stub = fileURLToPath(new URL('./agent-stub.ts', import.meta.url));
  const agent = spawn(process.execPath, [stub, JSON.stringify({ ...options, log: undefined })], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [chunk] = await once(agent.stdout, 'data');
  const pid = Number(String(chunk));
  agent.kill('SIGKILL');
  await once(agent, 'exit');
  rmSync(join(options.runDir, 'redis.pid'));
  const next = await start();
  expect([next.adopted, pidOf(next)]).toEqual([true, pid]);
});

test.each([
  ['started', false],
  ['adopted', true],
] as const)('a %s server that dies is started again', async (_how, adopted) => {
  let managed = await start();
  if (adopted) {
    managed.detach();
    managed = await start();
  }
  for (let restarts = 1; restarts <= 2; restarts += 1) {
    const pid = pidOf(managed);
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => managed.view(), { timeout: 5000 }).toMatchObject({ restarts, lastError: '', pid: expect.any(Number) });
    expect(pidOf(managed)).not.toBe(pid);
  }
  expect(lines.filter((line) => line.startsWith('warn redisServer.died'))).toHaveLength(2);
});

test('a clean stop ends the process and nothing starts it again', async () => {
  const managed = await start();
  const pid = pidOf(managed);
  await managed.stop();
  expect(isAlive(pid)).toBe(false);
  expect(managed.view().pid).toBe(null);
  const next = await start();
  expect(next.adopted).toBe(false);
});

test('a stop while it is being restarted leaves nothing behind', async () => {
  const managed = await start();
  process.kill(pidOf(managed), 'SIGKILL');
  await expect.poll(() => managed.view().pid, { interval: 2 }).toBe(null);
  await managed.stop();
  expect(managed.view().pid).toBe(null);
  await start({ port: options.port });
});

test('a running server with another configuration is replaced', async () => {
  const first = await start();
  first.detach();
  const second = await start({ password: `${password}-changed` });
  expect(second.adopted).toBe(false);
  expect(isAlive(pidOf(first))).toBe(false);
  expect(lines.some((line) => line.startsWith('warn redisServer.replaced'))).toBe(true);
});

test('a frozen server is replaced', async () => {
  const first = await start();
  first.detach();
  const pid = pidOf(first);
  process.kill(pid, 'SIGSTOP');
  const second = await start();
  expect(second.adopted).toBe(false);
  expect(isAlive(pid)).toBe(false);
});

test('a pid file that names another process is not believed', async () => {
  const first = await start();
  await first.stop();
  writeFileSync(join(options.runDir, 'redis.pid'), `${process.pid}\n`);
  const second = await start();
  expect([second.adopted, isAlive(process.pid)]).toEqual([false, true]);
});

test('a port that another program uses is one clear error', async () => {
  const other = createServer().listen(options.port, '127.0.0.1');
  await once(other, 'listening');
  await expect(start()).rejects.toMatchObject({
    code: 'REDIS_PORT_IN_USE',
    message: `port ${options.port} on 127.0.0.1 is in use by another program`,
    hint: expect.stringContaining('ss -ltnp'),
  });
  other.close();
});

test('an address that is not on this host is one clear error', async () => {
  await expect(start({ bind: ['192.0.2.1'] })).rejects.toMatchObject({ code: 'REDIS_ADDRESS_ABSENT' });
});

test('a missing redis-server is one clear error', async () => {
  await expect(start({ searchPath: home })).rejects.toMatchObject({
    code: 'REDIS_SERVER_MISSING',
    message: 'redis-server is not installed',
    hint: expect.stringContaining('apt-get install redis-server'),
  });
});

test('unusable TLS files are one clear error in the words of the server', async () => {
  writeFileSync(tls.cert, 'no certificate');
  await expect(start()).rejects.toMatchObject({ code: 'REDIS_SERVER_START', message: expect.stringMatching(/certificate|TLS/) });
});

test('told so, the running server takes a second CA and then a certificate of it, without a restart', async () => {
  const [old, next] = [await makeCa(cluster), await makeCa(cluster)];
  const [first, second] = await Promise.all([old, next].map((ca) => issueCertificate({ ca, who: { k: 'node', id: 'gpu1' } })));
  if (first === undefined || second === undefined) throw new Error('no certificates');
  const put = (ca: string, leaf: { readonly cert: string; readonly key: string }) => {
    writeFileSync(tls.ca, ca);
    writeFileSync(tls.cert, leaf.cert);
    writeFileSync(tls.key, leaf.key);
  };
  put(old.cert, first);
  const managed = await start();
  const pid = pidOf(managed);
  const asNew = () => certificateOf(options.port, { ca: next.cert, ...second });
  await expect(asNew()).rejects.toThrow();
  put(old.cert + next.cert, first);
  await managed.renewCertificates();
  put(next.cert + old.cert, second);
  await managed.renewCertificates();
  expect(await asNew()).toBe(second.cert.trim());
  expect(pidOf(managed)).toBe(pid);
});

/** The certificate of the server, seen by a client that trusts and shows these only. PEM texts. */
async function certificateOf(port: number, pem: { readonly ca: string; readonly cert: string; readonly key: string }): Promise<string> {
  const { ca, cert, key } = pem;
  const socket = connect({ host: '127.0.0.1', port, ca, cert, key, checkServerIdentity: () => undefined });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate()?.toString().trim() ?? '';
  } finally {
    socket.destroy();
  }
}
