// A plain redis-server of one test: own directory, free loopback port, ended by pid. Persistence only where a test asks.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

export const password = 'a-password-that-must-stay-secret-0123456789';
export const cluster = 'lab';

/** The minimal user of the lease; `admin` is the test's own. */
const acl = `user default reset
user admin on nopass ~* &* +@all
user ha on >${password} ~{ha:${cluster}}:* +eval +evalsha +hmget +hset +info +hello +auth +ping +select +client|setname
`;

export type RedisProcess = {
  readonly port: number;
  readonly dir: string;
  readonly admin: Redis;
  pid(): number;
  stop(): Promise<void>;
  /** Starts on the data in `dir`; resolves when it answers PING or says that it is loading. */
  start(extra?: readonly string[]): Promise<void>;
  /** Writes the data of now into `file`. */
  save(file: string): Promise<void>;
  /** Kills the process and starts one on the data in `file`, or on none. */
  restart(file: string | null, extra?: readonly string[]): Promise<void>;
  close(): Promise<void>;
};

/**
 * A TCP port that nobody listens on just now, below the ephemeral range: a server that is restarted must not find its
 * port taken by somebody's outgoing connection.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 18_000);
    const server = createServer();
    try {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      server.close();
      await once(server, 'close');
      return port;
    } catch {
      // taken: another one
    }
  }
}

export async function startRedisProcess(): Promise<RedisProcess> {
  const dir = mkdtempSync(join(tmpdir(), 'ohl-redis-'));
  const port = await freePort();
  writeFileSync(join(dir, 'users.acl'), acl);
  const conf = ['port', port, 'bind 127.0.0.1', 'save ""', 'appendonly no', 'maxmemory-policy noeviction', 'enable-debug-command yes'];
  writeFileSync(
    join(dir, 'redis.conf'),
    `port ${port}\n${conf.slice(2).join('\n')}\ndir ${dir}\naclfile ${dir}/users.acl\nlogfile ${dir}/log\n`,
  );
  const admin = new Redis({ port, host: '127.0.0.1', username: 'admin', password: 'any', retryStrategy: () => 30, lazyConnect: true });
  admin.on('error', () => {});
  let child: ChildProcess | null = null;

  async function start(extra: readonly string[] = []): Promise<void> {
    child = spawn('redis-server', [join(dir, 'redis.conf'), ...extra], { stdio: 'ignore' });
    await answering(port);
  }

  async function stop(): Promise<void> {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  const self: RedisProcess = {
    port,
    dir,
    admin,
    pid: () => child?.pid ?? 0,
    start,
    stop,
    save: async (file) => {
      await admin.save();
      copyFileSync(join(dir, 'dump.rdb'), file);
    },
    restart: async (file, extra) => {
      await stop();
      if (file === null) rmSync(join(dir, 'dump.rdb'), { force: true });
      else if (file !== join(dir, 'dump.rdb')) copyFileSync(file, join(dir, 'dump.rdb'));
      await start(extra);
    },
    close: async () => {
      admin.disconnect();
      await stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  await start();
  await admin.connect();
  return self;
}

async function answering(port: number): Promise<void> {
  for (let attempt = 0; attempt < 250; attempt += 1) {
    const probe = new Redis({
      port,
      host: '127.0.0.1',
      username: 'admin',
      password: 'any',
      lazyConnect: true,
      enableReadyCheck: false,
      retryStrategy: () => null,
    });
    probe.on('error', () => {});
    try {
      await probe.connect();
      return;
    } catch {
      await sleep(20);
    } finally {
      probe.disconnect();
    }
  }
  throw new Error('redis-server does not start');
}
