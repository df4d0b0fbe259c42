import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { plotSvg } from '../../src/cli/bench-plot.ts';
import { figuresOf } from '../../src/cli/bench-report.ts';
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

test('--plot draws one dot for each answer, a mark for each error, and the percentiles', async () => {
  await using s = await scene();
  s.model('one');
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  const file = join(directory, 'plot.svg');
  const { code } = await agentctl(['bench', s.fake.url, '--model', 'one', '--threads', '2', '--requests', '6', '--plot', file]);
  const svg = readFileSync(file, 'utf8');
  rmSync(directory, { recursive: true });
  expect(code).toBe(0);
  expect(svg.match(/<circle /g)).toHaveLength(12);
  expect(svg).not.toContain('class="error"');
  for (const name of ['p50', 'p90', 'p95', 'p99']) expect(svg).toMatch(new RegExp(`>${name} \\d+ ms<`));
});

test('a plot of many answers stays small, keeps every error, and escapes its title', () => {
  const samples = Array.from({ length: 60_000 }, (_, i) => ({ atMs: i, ms: i % 1000 === 7 ? null : 20 }));
  const latencyMs = samples.flatMap(({ ms }) => (ms === null ? [] : [ms]));
  const seen = { latencyMs, firstMs: latencyMs, errors: new Map([['x', 60]]), tokens: 1, wallMs: 60_000, samples };
  const svg = plotSvg(samples, figuresOf(seen), 'a <b> & c');
  expect(svg.match(/<circle /g)?.length).toBeLessThanOrEqual(5000);
  expect(svg.match(/class="error"/g)).toHaveLength(60);
  expect(svg).toContain('each 12th answer is drawn');
  expect(svg).toContain('<title>a &lt;b&gt; &amp; c</title>');
  expect(svg.length).toBeLessThan(600_000);
});

test('a plot that cannot be written is said before the load begins', async () => {
  const { code, err } = await agentctl(['bench', 'http://127.0.0.1:9', '--model', 'one', '--plot', '/nonexistent/plot.svg']);
  expect(code).toBe(64);
  expect(err).toContain('/nonexistent/plot.svg cannot be written: ENOENT');
});
