// Settings and history in a real Redis, under the minimal ACL, whatever happens to the server.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HistoryEntry } from '../../../src/core/io.ts';
import { changed, readSettings, textOf } from '../../../src/core/settings/record.ts';
import { NO_SETTINGS, type Settings } from '../../../src/core/settings/types.ts';
import { keepRecords } from '../../../src/drivers/redis/records.ts';
import { cluster, freePort, type RedisProcess, startRedisProcess } from './redis-process.ts';
import { type AwaitableClient, awaitableClient, plainServer } from './scripts-client.ts';

const KEY = `{ha:${cluster}}:settings`;
const RING = `{ha:${cluster}}:history`;
const paused = changed(NO_SETTINGS, { k: 'pause', paused: true, by: 'ann' });
const resumed = changed(paused, { k: 'pause', paused: false, by: 'ann' });
const entry = (epoch: number): HistoryEntry => ({
  epoch,
  from: 'a',
  to: 'b',
  cause: 'planned',
  reason: 'r',
  by: 'ann',
  atMs: epoch,
  phasesMs: { claimMs: 2 },
});

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

/** The records of one agent that holds `settings`, on the server of this test and one that is not there. */
async function agent(settings: Settings) {
  const client = awaitableClient([plainServer('one', redis.port), plainServer('absent', await freePort())]);
  opened.push(client);
  const found: Settings[] = [];
  const lines: HistoryEntry[] = [];
  const log: string[] = [];
  const records = keepRecords({
    connections: client.client.connections,
    cluster,
    settings,
    onSettings: (s) => found.push(s),
    onHistory: (entries) => lines.push(...entries),
    log: (level, event, text) => log.push(`${level} ${event} ${text}`),
  });
  await client.answering(0);
  return { records, found, lines, log };
}

const stored = async () => readSettings((await redis.admin.hget(KEY, 'record')) ?? '');

test('a change is written, found by the next agent, and an older one never replaces it', async () => {
  const first = await agent(NO_SETTINGS);
  first.records.settings(paused, true);
  await expect.poll(stored).toEqual(paused);
  const second = await agent(NO_SETTINGS);
  await expect.poll(() => second.found).toEqual([paused]);
  const third = await agent(resumed);
  await expect.poll(stored).toEqual(resumed);
  expect(third.found).toEqual([]);
  expect([...first.log, ...second.log, ...third.log]).toEqual([]);
});

test('a server that comes back empty gets the record again', async () => {
  const { records } = await agent(NO_SETTINGS);
  records.settings(paused, false);
  await redis.restart(null);
  await expect.poll(stored, { timeout: 5000 }).toEqual(paused);
});

test('nothing is written while nothing was ever set', async () => {
  await agent(NO_SETTINGS);
  expect(await redis.admin.exists(KEY)).toBe(0);
});

test('a record that something else wrote is replaced, not believed', async () => {
  await redis.admin.hset(KEY, 'record', '{"version":9e99}');
  const { found } = await agent(paused);
  await expect.poll(stored).toEqual(paused);
  expect(found).toEqual([]);
});

test('history is a ring of 256 fields, and is read once at the start', async () => {
  const { records } = await agent(NO_SETTINGS);
  for (let epoch = 1000; epoch < 1300; epoch++) records.history(entry(epoch));
  await expect.poll(() => redis.admin.hlen(RING)).toBe(256);
  await redis.admin.hset(RING, '3', 'garbage', '4', JSON.stringify({ ...entry(1), reason: 'x'.repeat(5000) }));
  const next = await agent(NO_SETTINGS);
  await expect.poll(() => next.lines.length).toBe(254);
  const epochs = next.lines.map((line) => line.epoch);
  expect(epochs).toEqual([...epochs].sort((a, b) => a - b));
  expect(next.lines.at(-1)).toEqual(entry(1299));
});

test('a server that refuses is a line in the log, and nothing more', async () => {
  const { records, log } = await agent(NO_SETTINGS);
  await redis.admin.set(KEY, 'text');
  records.settings(paused, true);
  await expect.poll(() => log).toEqual([expect.stringMatching(/^warn redis.records redis one: settings not written: WRONGTYPE/)]);
  expect(textOf(paused)).toContain('ann');
});
