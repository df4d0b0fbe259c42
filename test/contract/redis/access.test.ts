// What only a real server can show: the minimal user, refused credentials, a lost script cache.
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { password, type RedisProcess, startRedisProcess } from '../../drivers/redis/redis-process.ts';
import { type AwaitableClient, awaitableClient, plainServer } from '../../drivers/redis/scripts-client.ts';

let redis: RedisProcess;
let opened: AwaitableClient[] = [];
beforeEach(async () => {
  redis = await startRedisProcess();
});
afterEach(async () => {
  for (const { client } of opened) await client.close();
  opened = [];
  await redis.close();
});

function open(change: Parameters<typeof plainServer>[2] = {}): AwaitableClient {
  const client = awaitableClient([plainServer('one', redis.port, change)]);
  opened.push(client);
  return client;
}

describe('the minimal user', () => {
  let user: Redis | null = null;
  afterEach(() => {
    user?.disconnect();
  });
  const connect = async (): Promise<Redis> => {
    user = new Redis({ port: redis.port, host: '127.0.0.1', username: 'ha', password, lazyConnect: true, disableClientInfo: true });
    await user.connect();
    return user;
  };
  const forbidden: readonly (readonly [string, ...string[]])[] = [
    ['GET', '{ha:lab}:lease'],
    ['DEL', '{ha:lab}:lease'],
    ['FLUSHALL'],
    ['CONFIG', 'GET', '*'],
    ['DEBUG', 'SLEEP', '0'],
    ['SHUTDOWN'],
    ['ACL', 'LIST'],
    ['KEYS', '*'],
    ['SCRIPT', 'FLUSH'],
    ['HMGET', '{ha:other}:lease', 'o'],
    ['HMGET', '{ha:lab}lease', 'o'],
    ['EVAL', "return redis.call('DEL', KEYS[1])", '1', '{ha:lab}:lease'],
    ['EVAL', "return redis.call('HSET', KEYS[1], 'o', 'x')", '1', '{ha:other}:lease'],
  ];

  test.each(forbidden.map((words) => [words.join(' '), words] as const))('may not run %s', async (_text, [command, ...args]) => {
    const user = await connect();
    await expect(user.call(command, ...args)).rejects.toThrow(/NOPERM|The user executing the script can't/);
  });

  test('reads and writes settings and history beside the lease', async () => {
    const user = await connect();
    await user.hset('{ha:lab}:settings', 'version', '3');
    await user.hset('{ha:lab}:history', '7', '{}');
    expect(await user.hmget('{ha:lab}:settings', 'version')).toEqual(['3']);
  });
});

test('a missing right is reported as noperm', async () => {
  const client = open();
  await client.answering(0);
  await redis.admin.call('ACL', 'SETUSER', 'ha', '-hset');
  expect(await client.ask(0, { script: 'read', nonce: 't:1' })).toEqual({ failure: 'noperm' });
  await redis.admin.call('ACL', 'SETUSER', 'ha', '+hset', '-eval', '-evalsha');
  expect(await client.ask(0, { script: 'read', nonce: 't:1' })).toEqual({ failure: 'noperm' });
});

test.each([
  ['a wrong password', { password: 'a-wrong-password-0123456789' }],
  ['no credentials', { username: '', password: '' }],
  ['an unknown user', { username: 'nobody' }],
])('with %s every call fails as noauth', async (_case, change) => {
  const client = open(change);
  await expect.poll(() => client.ask(0, { script: 'read', nonce: 't:1' })).toEqual({ failure: 'noauth' });
  expect(client.client.view()[0]?.lastError).toMatch(/^(WRONGPASS|NOAUTH)/);
});

test('no secret is in the log, in the last error, or in a fact', async () => {
  const wrong = 'a-wrong-password-0123456789';
  const client = open({ password: wrong });
  await expect.poll(() => client.ask(0, { script: 'read', nonce: 't:1' })).toEqual({ failure: 'noauth' });
  const everything = JSON.stringify([client.lines, client.facts, client.client.view()]);
  expect(client.lines.length).toBeGreaterThan(0);
  expect(everything).not.toContain(wrong);
});

test('a lost script cache is refilled by the same call', async () => {
  const client = open();
  await client.answering(0);
  const first = await client.ask(0, { script: 'read', nonce: 't:1' });
  expect(await client.ask(0, { script: 'read', nonce: 't:2' })).toEqual(first);
  await redis.admin.script('FLUSH');
  expect(await client.ask(0, { script: 'read', nonce: 't:3' })).toEqual(first);
});

test('after the first call on a connection only the digest travels', async () => {
  const client = open();
  await client.answering(0);
  for (const nonce of ['t:1', 't:2', 't:3']) await client.ask(0, { script: 'read', nonce });
  const stats = await redis.admin.info('commandstats');
  expect(Number(/cmdstat_eval:calls=(\d+)/.exec(stats)?.[1])).toBe(2); // one for each script used so far
  expect(Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1])).toBe(2);
});

test.each([
  ['DEBUG', 'SLEEP', '0.3'],
  ['CLIENT', 'PAUSE', '300', 'WRITE'],
  ['CLIENT', 'PAUSE', '300', 'ALL'],
] as const)('during %s %s a call times out and still runs afterwards', async (command, ...args) => {
  const client = open();
  await client.answering(0);
  const stall = redis.admin.call(command, ...args);
  if (command === 'CLIENT') await stall;
  expect(await client.ask(0, { script: 'read', nonce: 't:1' })).toEqual({ failure: 'timeout' });
  await stall;
  await client.answering(0);
  expect(await client.ask(0, { script: 'read', nonce: 't:2' })).toMatchObject({ code: 'ok', snap: { n: 't:1' } });
});

test('a script that hangs the server is reported as busy', async () => {
  const client = open();
  await client.answering(0);
  await redis.admin.config('SET', 'busy-reply-threshold', '20');
  const hung = redis.admin.duplicate();
  hung.on('error', () => {});
  const endless = hung.eval('while true do end', 0).catch(() => {});
  await expect.poll(() => client.ask(0, { script: 'read', nonce: 't:1' })).toEqual({ failure: 'busy' });
  await redis.admin.script('KILL');
  await endless;
  hung.disconnect();
  expect(await client.answering(0)).toMatchObject({ code: 'lost' });
});
