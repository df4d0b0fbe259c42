import { expect, test } from 'vitest';
import { scene } from '../fake-ollama/scene.ts';
import { agentctl } from './run.ts';

test('every request of every thread is sent and counted, with times and tokens', async () => {
  await using s = await scene();
  s.model('one');
  const { code, out } = await agentctl([
    'bench',
    s.fake.url,
    '--model',
    'one',
    '--threads',
    '4',
    '--requests',
    '5',
    '--tokens',
    '8',
    '--json',
  ]);
  const figures = JSON.parse(out) as { latencyMs: Record<string, number>; tokensPerSecond: number };
  expect(figures).toMatchObject({ requests: 20, errors: 0 });
  expect(code).toBe(0);
  const { min = 0, p50 = 0, p99 = 0, max = 0 } = figures.latencyMs;
  expect([min, p50, p99, max]).toEqual([min, p50, p99, max].toSorted((a, b) => a - b));
  expect(min).toBeGreaterThan(0);
  expect(figures.tokensPerSecond).toBeGreaterThan(0);
});

test('the text shows percentiles and one bar for each of ten steps', async () => {
  await using s = await scene();
  s.model('one');
  const { out } = await agentctl(['bench', s.fake.url, '--model', 'one', '--threads', '2', '--requests', '5']);
  expect(out).toMatch(/^10 requests in .* 0 errors/);
  expect(out).toMatch(/whole answer {2}min .* p99 /);
  const bars = [...out.matchAll(/ ms #* ?(\d+)$/gm)].map((match) => Number(match[1]));
  expect(bars).toHaveLength(10);
  expect(bars.reduce((a, b) => a + b)).toBe(10);
});

test('a missing model and a dead endpoint are counted by what they say', async () => {
  await using s = await scene();
  const missing = await agentctl(['bench', s.fake.url, '--model', 'none', '--threads', '1', '--requests', '2']);
  expect(missing.code).toBe(1);
  expect(missing.out).toMatch(/error 2 x HTTP 404: model 'none/);
  const dead = await agentctl(['bench', 'http://127.0.0.1:9', '--model', 'one', '--threads', '1', '--requests', '1', '--json']);
  expect(JSON.parse(dead.out)).toMatchObject({ requests: 1, errors: 1, latencyMs: null });
});

test('a wrong number is a usage error', async () => {
  const { code, err } = await agentctl(['bench', '--model', 'one', '--threads', '0']);
  expect(code).toBe(64);
  expect(err).toContain('write a whole number from 1 to 1000');
});
