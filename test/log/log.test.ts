// The log: bounded volume, a level that changes while it runs, lines for people, and a catalogue that holds every event.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog } from '../../src/log.ts';
import { logEvents } from '../../src/log-events.ts';
import { createLogLimit } from '../../src/log-limit.ts';

const root = join(import.meta.dirname, '../..');

function start(pretty = false) {
  const lines: string[] = [];
  return { lines, ...openLog({ level: 'info', node: 'gpu1', pretty, write: (line) => lines.push(line) }) };
}

test('a line is one JSON object with the node, the event and its facts', () => {
  const { log, lines } = start();
  log('warn', 'redis.fails', 'redis gpu2: no answer', { server: 'gpu2' });
  expect(lines.length).toBe(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 40,
    agent: 'gpu1',
    event: 'redis.fails',
    server: 'gpu2',
    msg: 'redis gpu2: no answer',
  });
});

test('of lines about one thing twenty are written in a minute, and the next says how many were left out', () => {
  const limit = createLogLimit();
  const written = Array.from({ length: 100 }, (_, i) => limit.admit('a', i).write).filter(Boolean).length;
  expect(written).toBe(20);
  expect(limit.admit('b', 100)).toEqual({ write: true, repeated: 0 });
  expect(limit.takeSuppressed(100)).toEqual([]);
  expect(limit.admit('a', 60_000)).toEqual({ write: true, repeated: 80 });
  for (let i = 0; i < 30; i++) limit.admit('c', 0);
  expect(limit.takeSuppressed(60_000)).toEqual([{ key: 'c', repeated: 10 }]);
  expect(limit.takeSuppressed(60_000)).toEqual([]);
});

test('other things are not held back by one that repeats itself', () => {
  const { log, lines } = start();
  for (let i = 0; i < 50; i++) log('warn', 'redis.fails', 'no answer', { server: 'gpu2' });
  log('warn', 'redis.fails', 'no answer', { server: 'gpu3' });
  log('info', 'claimed', 'active', {});
  expect(lines.length).toBe(22);
});

test('the level changes at once, and goes back after its time', async () => {
  const { log, lines, setLevel } = start();
  log('debug', 'redis.connected', 'x', {});
  expect(lines).toEqual([]);
  expect(setLevel({ level: 'debug', forMs: 60, by: 'me' }).text).toBe('the level is debug for 0 s, then info');
  log('debug', 'redis.connected', 'x', {});
  expect(lines.map((line) => JSON.parse(line).event)).toEqual(['log_level', 'redis.connected']);
  await expect
    .poll(() => {
      const before = lines.length;
      log('debug', 'redis.connected', 'x', {});
      return lines.length - before;
    })
    .toBe(0);
  setLevel({ level: 'error', forMs: 0, by: 'me' });
  const before = lines.length;
  log('warn', 'close', 'x', {});
  expect(lines.length).toBe(before);
  expect(setLevel({ level: '', forMs: 0, by: 'me' }).text).toBe('the level is info');
});

test('lines for people keep the event and the facts', () => {
  const { log, lines } = start(true);
  log('error', 'fence_lost', 'the fence is gone', { before: 'nft', n: 3 });
  expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} ERROR gpu1 the fence is gone {2}\[fence_lost before=nft n=3\]\n$/);
});

test('every event id in the sources stands in the catalogue, and in docs/logs.md', () => {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter(
    (f) => f.endsWith('.ts') && !f.startsWith('gen/'),
  );
  const used = new Set<string>();
  for (const file of files) {
    const text = readFileSync(join(root, 'src', file), 'utf8');
    for (const [, id = ''] of text.matchAll(/\blog\w*\(\s*(?:d, )?'(?:debug|info|warn|error)',\s*'([\w.-]+)'/g)) used.add(id);
    for (const [, id = ''] of text.matchAll(/k: 'log',[^}]*?event: '([\w.-]+)'/g)) used.add(id);
  }
  expect(used.size).toBeGreaterThan(60);
  expect([...used].filter((id) => logEvents[id] === undefined)).toEqual([]);
  const page = readFileSync(join(root, 'docs/logs.md'), 'utf8');
  for (const [id, text] of Object.entries(logEvents)) expect(page).toContain(`| \`${id}\` | ${text} |`);
});
