// The shell around ioredis: whatever happens to the socket, every call settles, exactly once and in time.
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort, type RedisProcess, startRedisProcess } from './redis-process.ts';
import { type AwaitableClient, awaitableClient, idle, plainServer } from './scripts-client.ts';

const read = { script: 'read', nonce: 't:1' } as const;

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

function open(...servers: Parameters<typeof awaitableClient>[0]): AwaitableClient {
  const client = awaitableClient(servers);
  opened.push(client);
  return client;
}

/** Answers of the calls, and how long the slowest took, ms. */
async function timed<T>(calls: readonly Promise<T>[]): Promise<{ answers: T[]; tookMs: number }> {
  const from = performance.now();
  const answers = await Promise.all(calls);
  return { answers, tookMs: performance.now() - from };
}

describe('a call settles', () => {
  test('at once as closed while the server is not connected', async () => {
    const client = awaitableClient([plainServer('absent', await freePort())], 60_000);
    opened.push(client);
    const { answers, tookMs } = await timed([client.ask(0, read), client.ask(0, read)]);
    expect(answers).toEqual([{ failure: 'closed' }, { failure: 'closed' }]);
    expect(tookMs).toBeLessThan(1000);
  });

  test('never from inside run, so that a turn is not entered twice', async () => {
    const client = open(plainServer('absent', await freePort()));
    client.client.run(0, 1, read);
    expect(client.facts).toEqual([]);
    await expect.poll(() => client.facts).toEqual([{ k: 'fail', server: 0, op: 1, why: 'closed' }]);
  });

  test('when the server dies with the call in flight', async () => {
    const client = open(plainServer('one', redis.port));
    await client.answering(0);
    process.kill(redis.pid(), 'SIGSTOP');
    const calls = [client.ask(0, read), client.ask(0, read)];
    await redis.stop();
    expect((await timed(calls)).answers).toEqual([{ failure: 'closed' }, { failure: 'closed' }]);
  });

  test('when the client is closed with the call in flight', async () => {
    const client = open(plainServer('one', redis.port));
    await client.answering(0);
    process.kill(redis.pid(), 'SIGSTOP');
    const call = client.ask(0, read);
    await client.client.close();
    expect('failure' in (await call)).toBe(true);
    expect(await client.ask(0, read)).toEqual({ failure: 'closed' });
  });

  test('within the time-out on a half-open connection, also call after call', async () => {
    const client = open(plainServer('one', redis.port));
    await client.answering(0);
    process.kill(redis.pid(), 'SIGSTOP');
    for (let i = 0; i < 6; i += 1) {
      const { answers, tookMs } = await timed([client.ask(0, read)]);
      expect(answers[0]).toHaveProperty('failure');
      expect(tookMs).toBeLessThan(600);
    }
    expect(client.client.view()[0]).toMatchObject({ up: false });
    process.kill(redis.pid(), 'SIGCONT');
    expect(await client.answering(0)).toMatchObject({ code: 'lost' });
    expect(client.client.view()[0]).toMatchObject({ up: true, lastError: '' });
  });

  test('exactly once, whatever comes late', async () => {
    const client = open(plainServer('one', redis.port));
    await client.answering(0);
    const before = client.facts.length;
    process.kill(redis.pid(), 'SIGSTOP');
    const call = client.ask(0, read);
    expect(await call).toEqual({ failure: 'timeout' });
    process.kill(redis.pid(), 'SIGCONT');
    const last = await client.ask(0, { script: 'read', nonce: 't:2' });
    expect(last).toMatchObject({ code: 'ok', snap: { n: 't:1' } }); // the late call did run
    expect(client.facts.slice(before)).toHaveLength(2);
  });
});

test('a server that swallows the handshake is given up and tried again', async () => {
  const sockets: Socket[] = [];
  const mute = createServer((socket) => sockets.push(socket.on('error', () => {})));
  const port = await freePort();
  mute.listen(port, '127.0.0.1');
  const client = open(plainServer('mute', port));
  await expect.poll(() => sockets.length, { timeout: 5000 }).toBeGreaterThan(2);
  expect(await client.ask(0, read)).toEqual({ failure: 'closed' });
  for (const socket of sockets) socket.destroy();
  mute.close();
});

test('after a restart of the server the client is ready again and sees another run_id', async () => {
  const client = open(plainServer('one', redis.port));
  const first = await client.answering(0);
  await redis.restart(null);
  const second = await client.answering(0);
  expect('snap' in first && 'snap' in second && first.snap.run !== second.snap.run).toBe(true);
  expect(client.lines.filter((line) => line.includes('redis.connected'))).toHaveLength(2);
});

test('a replica is left for whatever its name leads to next', async () => {
  const client = open(plainServer('one', redis.port));
  await client.answering(0);
  await redis.admin.replicaof('127.0.0.1', 1);
  expect(await client.ask(0, read)).toEqual({ failure: 'readonly' });
  await expect.poll(() => client.lines.filter((line) => line.includes('redis.connected')).length).toBe(2);
});

test('one server listed twice counts for nobody, and the last error says so', async () => {
  const other = await startRedisProcess();
  const client = open(
    plainServer('one', redis.port),
    plainServer('two', redis.port, { host: 'localhost' }),
    plainServer('three', other.port),
  );
  await expect.poll(async () => (await client.ask(2, idle)) as object).toMatchObject({ code: 'lost' });
  await expect
    .poll(async () => [await client.ask(0, idle), await client.ask(1, idle)])
    .toEqual([{ failure: 'other' }, { failure: 'other' }]);
  expect(client.client.duplicates()).toEqual([['one', 'two']]);
  const [one, two, three] = client.client.view();
  expect(one).toMatchObject({ up: false, lastError: expect.stringContaining('run_id of two') });
  expect(two).toMatchObject({ up: false, lastError: expect.stringContaining('list each server once') });
  expect(three).toMatchObject({ up: true, lastError: '' });
  await other.close();
});

test('a record that something else wrote is refused with what to do', async () => {
  const client = open(plainServer('one', redis.port));
  await client.answering(0);
  await redis.admin.hset('{ha:lab}:lease', { o: 'gpu1#1', e: 'many', n: 'x:1' });
  expect(await client.ask(0, read)).toEqual({ failure: 'other' });
  expect(client.client.view()[0]?.lastError).toMatch(/field e .* delete it/);
  await redis.admin.del('{ha:lab}:lease');
  await redis.admin.set('{ha:lab}:lease', 'text');
  expect(await client.ask(0, read)).toEqual({ failure: 'other' });
  expect(client.client.view()[0]?.lastError).toMatch(/^WRONGTYPE/);
});

test('status shows latency, run_id and the time of the last reply', async () => {
  const client = open(plainServer('one', redis.port));
  expect(client.client.view()).toEqual([
    { server: 'one', runId: '', up: false, latencyMs: 0, p50Ms: 0, p99Ms: 0, lastError: '', lastReplyAt: Number.NEGATIVE_INFINITY },
  ]);
  const before = Number(process.hrtime.bigint()) / 1e6;
  await client.answering(0);
  const [view] = client.client.view();
  expect(view?.runId).toMatch(/^[0-9a-f]{40}$/);
  expect(view?.latencyMs).toBeGreaterThan(0);
  expect(view?.p50Ms).toBeGreaterThan(0);
  expect(view?.p99Ms).toBeGreaterThanOrEqual(view?.p50Ms ?? 0);
  expect(view?.lastReplyAt).toBeGreaterThanOrEqual(before);
});

test('TLS files that cannot be used are refused at the start', () => {
  const tls = { ca: 'no certificate', cert: '', key: '', serverName: '' };
  expect(() => awaitableClient([plainServer('one', 1, { tls })])).toThrow(/redis server one: the TLS certificate/);
});
