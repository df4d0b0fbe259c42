import { describe, expect, it } from 'vitest';
import { type HotState, loadEnded, NO_HOT, stepHot } from '../../../src/core/hotset/machine.ts';
import type { HotFacts, HotModel, HotSetConfig } from '../../../src/core/hotset/types.ts';

const mirror: HotSetConfig = { mode: 'mirror', models: [], loadMs: 600_000, retryMs: 10_000 };
const model = (name: string, more: Partial<HotModel> = {}): HotModel => ({
  name: `${name}:latest`,
  weights: name.repeat(16).slice(0, 16),
  contextLength: 4096,
  sizeBytes: 1e9,
  forever: true,
  ...more,
});
const a = model('a');
const b = model('b');
const store = [a, b].map(({ name, weights, sizeBytes }) => ({ name, weights, sizeBytes }));
const facts = (more: Partial<HotFacts>): HotFacts => ({
  acting: false,
  ready: true,
  active: [a, b],
  own: [],
  lost: null,
  store,
  freeBytes: 10e9,
  used: false,
  ...more,
});

describe('the hot set', () => {
  it('loads what the active has, one after the other, and counts a model only when it is listed', () => {
    let s = stepHot(NO_HOT, mirror, facts({}), 0);
    expect(s.order).toMatchObject({ seq: 1, model: 'a:latest', numCtx: null, keepAliveS: null, patienceMs: 600_000 });
    expect(s.report).toMatchObject({ hot: 0, wanted: 2 });
    s = stepHot(s, mirror, facts({}), 60_000);
    expect(s.seq).toBe(1); // patience: still the same load
    s = stepHot(loadEnded(s, 'a:latest', '', 61_000), mirror, facts({}), 61_001);
    expect(s.report.hot).toBe(0);
    s = stepHot(s, mirror, facts({ own: [a] }), 62_000);
    expect(s.order).toMatchObject({ seq: 2, model: 'b:latest' });
    expect(s.report.hot).toBe(1);
    s = stepHot(loadEnded(s, 'b:latest', '', 63_000), mirror, facts({ own: [a, b] }), 63_001);
    expect(s).toMatchObject({ order: null, report: { hot: 2, wanted: 2, missing: [] } });
  });

  it('compares by weights: another name of the same blob is warm', () => {
    const s = stepHot(NO_HOT, mirror, facts({ active: [a], own: [{ ...a, name: 'alias:latest' }] }), 0);
    expect(s.report).toMatchObject({ hot: 1, wanted: 1 });
  });

  it('loads without a context first, and names it only where the own default differs', () => {
    const wide = model('a', { contextLength: 8192 });
    let s = stepHot(NO_HOT, mirror, facts({ active: [wide] }), 0);
    expect(s.order?.numCtx).toBeNull();
    s = stepHot(loadEnded(s, 'a:latest', '', 1000), mirror, facts({ active: [wide], own: [a] }), 1001);
    expect(s.order).toMatchObject({ seq: 2, numCtx: 8192 });
    s = stepHot(loadEnded(s, 'a:latest', '', 2000), mirror, facts({ active: [wide], own: [wide] }), 2001);
    expect(s).toMatchObject({ order: null, report: { hot: 1, wanted: 1 } });
  });

  it('does not load anew what users of this node use, and says so', () => {
    const wide = model('a', { contextLength: 8192 });
    const s = stepHot(NO_HOT, mirror, facts({ active: [wide], own: [a], used: true }), 0);
    expect(s.order).toBeNull();
    expect(s.report.missing[0]?.why).toContain('context 4096 instead of 8192');
  });

  it('reports what does not fit and does not force it; beside other models only 80 % of what is free counts', () => {
    const alone = stepHot(NO_HOT, mirror, facts({ active: [a], freeBytes: 0.9e9 }), 0);
    expect(alone.order).toBeNull();
    expect(alone.report.missing).toEqual([{ name: 'a:latest', why: 'it does not fit: it needs 1.0 GB, and 0.9 GB are free' }]);
    const beside = stepHot(NO_HOT, mirror, facts({ active: [a], own: [model('x')], freeBytes: 1.2e9 }), 0);
    expect(beside.order).toBeNull();
    expect(stepHot(NO_HOT, mirror, facts({ active: [a], freeBytes: 1.2e9 }), 0).order).not.toBeNull();
  });

  it('waits longer after each failure', () => {
    const only = facts({ active: [a] });
    let s: HotState = NO_HOT;
    const tried: number[] = [];
    for (let at = 0; at < 100_000; at += 1000) {
      s = stepHot(s, mirror, only, at);
      if (s.order === null) continue;
      tried.push(at);
      s = loadEnded(s, 'a:latest', '500 cudaMalloc failed', at);
    }
    expect(tried).toEqual([0, 10_000, 30_000, 70_000]);
  });

  it('leaves a model alone whose load evicted another', () => {
    const x = model('x');
    let s = stepHot(NO_HOT, mirror, facts({ active: [a], own: [x] }), 0);
    s = stepHot(loadEnded(s, 'a:latest', '', 1000), mirror, facts({ active: [a], own: [a] }), 1001);
    s = stepHot(s, mirror, facts({ active: [a], own: [x] }), 2000); // somebody wanted x again
    expect(s.order).toBeNull();
    expect(s.report.missing[0]?.why).toContain('evicted x:latest');
  });

  it('keeps the last word of an active that is gone, so that warmth counts in the election', () => {
    const s = stepHot(stepHot(NO_HOT, mirror, facts({ own: [a, b] }), 0), mirror, facts({ active: null, own: [a, b] }), 1000);
    expect(s.report).toMatchObject({ hot: 2, wanted: 2 });
  });

  it('gives an end to a model that has one at the active', () => {
    expect(stepHot(NO_HOT, mirror, facts({ active: [model('a', { forever: false })] }), 0).order?.keepAliveS).toBe(600);
  });

  it('loads again on the active, once, what left memory at once; who is no longer active forgets it', () => {
    const active = (own: readonly HotModel[], lostAt: number | null, more: Partial<HotFacts> = {}): HotFacts =>
      facts({ acting: true, active: own, own, lost: lostAt === null ? null : { names: [a.name, b.name], at: lostAt }, ...more });
    let s = stepHot(NO_HOT, mirror, active([a, b], null), 0);
    expect(s.order).toBeNull();
    s = stepHot(s, mirror, active([], 1000), 1000);
    expect(s).toMatchObject({ order: { seq: 1, model: 'a:latest' }, report: { hot: 0, wanted: 2 } });
    s = stepHot(loadEnded(s, 'a:latest', '', 1500), mirror, active([a], 1000), 2000);
    expect(s.order).toMatchObject({ seq: 2, model: 'b:latest' });
    s = stepHot(loadEnded(s, 'b:latest', '', 2500), mirror, active([a, b], null), 3000);
    expect(s).toMatchObject({ order: null, report: { hot: 2, wanted: 2 } });
    // Lost again soon: it does not fit.
    s = stepHot(s, mirror, active([], 4000), 4000);
    expect(s).toMatchObject({ order: null, report: { hot: 0, wanted: 0 } });
    s = stepHot(s, mirror, active([a, b], null), 700_000);
    s = stepHot(s, mirror, active([], 701_000), 701_000);
    expect(s.order).toMatchObject({ model: 'a:latest' });
    s = stepHot(s, mirror, facts({ active: [], lost: { names: [a.name], at: 701_000 } }), 702_000);
    expect(s.report).toMatchObject({ wanted: 0 });
  });

  it('does not force on the active what no longer fits', () => {
    let s = stepHot(NO_HOT, mirror, facts({ acting: true, active: [a], own: [a] }), 0);
    s = stepHot(s, mirror, facts({ acting: true, active: [], own: [b], lost: { names: [a.name], at: 10 }, freeBytes: 1.1e9 }), 10);
    expect(s).toMatchObject({ order: null, report: { missing: [{ name: 'a:latest', why: expect.stringContaining('does not fit') }] } });
  });

  it('forgets a failure when the model is in memory after all', () => {
    let s = stepHot(NO_HOT, mirror, facts({ active: [a] }), 0);
    s = stepHot(loadEnded(s, 'a:latest', '500 x', 100), mirror, facts({ active: [a] }), 200);
    expect(s.order).toBeNull();
    s = stepHot(s, mirror, facts({ active: [a], own: [a] }), 300);
    s = stepHot(s, mirror, facts({ active: [a] }), 400);
    expect(s.order).toMatchObject({ seq: 2, model: 'a:latest' });
  });

  it('a list is kept on the active too, and names what is not in the store', () => {
    const list: HotSetConfig = { ...mirror, mode: 'list', models: ['a', 'gone'] };
    const s = stepHot(NO_HOT, list, facts({ acting: true, active: [] }), 0);
    expect(s.order).toMatchObject({ model: 'a:latest', keepAliveS: null });
    expect(s.report.missing.map((m) => m.name)).toEqual(['a:latest', 'gone:latest']);
    expect(s.report.missing[1]?.why).toContain('not complete');
  });

  it('off wants nothing, and nothing is loaded while Ollama does not serve', () => {
    expect(stepHot(NO_HOT, { ...mirror, mode: 'off' }, facts({}), 0)).toMatchObject({ order: null, report: { wanted: 0 } });
    expect(stepHot(NO_HOT, mirror, facts({ ready: false }), 0).order).toBeNull();
  });
});
