// A lab whose Redis servers the lab itself started, from the files of the agents, which adopt them: so they can be given a clock of their own,
// and a user who may do what the agents' user must not.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { setClock, steppedClock } from '../../lab/clock.ts';
import type { Outcome } from '../../lab/command.ts';
import type { Host } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { monoMs } from '../../lab/names.ts';
import { runOf } from '../../lab/product.ts';

const password = randomBytes(16).toString('hex');

/** Replaces every managed Redis of a healthy lab by one of the lab's, while all agents are stopped. */
export async function prepareRedis(lab: Lab): Promise<void> {
  await Promise.all(lab.hosts.map((host) => host.service('agent').stop()));
  await Promise.all(lab.hosts.map(startRedis));
  await Promise.all(lab.hosts.map((host) => host.service('agent').start()));
}

/** FLUSHALL on every server at once; the moment, monotonic ms. */
export async function flushAll(lab: Lab): Promise<number> {
  const at = monoMs();
  const outcomes = await Promise.all(lab.hosts.map((host) => asLab(host, 'FLUSHALL')));
  const failed = outcomes.find((out) => out.stdout.trim() !== 'OK');
  if (failed) throw new Error(`FLUSHALL: ${failed.stdout}${failed.stderr}`);
  return at;
}

/** Sets how far the wall clocks of all servers are ahead, and makes sure that they are; the moment, monotonic ms. */
export async function stepRedisClocks(lab: Lab, offsetMs: number): Promise<number> {
  const at = monoMs();
  for (const host of lab.hosts) setClock(host.plan, offsetMs, 'redis-clock');
  const outcomes = await Promise.all(lab.hosts.map((host) => asLab(host, 'TIME')));
  for (const out of outcomes) {
    const aheadMs = Number(out.stdout.split('\n')[0]) * 1000 - Date.now();
    if (!(Math.abs(aheadMs - offsetMs) < 60_000)) throw new Error(`a Redis clock was not stepped: ${out.stdout}${out.stderr}`);
  }
  return at;
}

function asLab(host: Host, ...command: readonly string[]): Promise<Outcome> {
  return host.exec(cli(host, ...command), { env: { ...process.env, REDISCLI_AUTH: password } });
}

function cli(host: Host, ...command: readonly string[]): string[] {
  const pki = (file: string): string => join(host.plan.dataDir, 'etc/pki', file);
  const tls = ['--tls', '--cacert', pki('ca.crt'), '--cert', pki('node.crt'), '--key', pki('node.key')];
  return ['redis-cli', '-h', host.address, '-p', '11442', ...tls, '--user', 'lab', '--no-auth-warning', ...command];
}

async function startRedis(host: Host): Promise<void> {
  const dir = join(host.plan.dataDir, 'state/redis');
  const acl = join(host.plan.dataDir, 'etc/lab-users.acl');
  const hash = createHash('sha256').update(password).digest('hex');
  writeFileSync(acl, `${readFileSync(join(dir, 'users.acl'), 'utf8')}user lab reset on #${hash} ~* +@all\n`, { mode: 0o600 });
  setClock(host.plan, 0, 'redis-clock');
  const log = openSync(join(host.plan.logDir, 'redis.log'), 'a');
  // The agents know their own by program and first argument.
  const argv = ['netns', 'exec', host.namespace, 'redis-server', join(dir, 'redis.conf'), '--aclfile', acl];
  const clock = steppedClock(host.plan, 'redis-clock');
  // Redis brings an allocator that asks for the time before libfaketime can tell it: the C library's own comes first.
  const env = { ...process.env, ...clock, LD_PRELOAD: `${clock.LD_PRELOAD} libc.so.6` };
  spawn('ip', argv, { cwd: dir, detached: true, stdio: ['ignore', log, log], env }).unref();
  closeSync(log);
  await untilRedisRuns(host);
}

async function untilRedisRuns(host: Host): Promise<void> {
  const pidFile = join(runOf(host.plan), 'redis.pid');
  for (const deadline = monoMs() + 20_000; !existsSync(pidFile); await delay(20)) {
    if (monoMs() > deadline) throw new Error(`${host.name}: no Redis runs; see ${host.plan.logDir}`);
  }
}
