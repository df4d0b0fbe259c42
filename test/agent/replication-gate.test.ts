import { describe, expect, it } from 'vitest';
import { createGate } from '../../src/agent/replication-gate.ts';
import type { FetchModel, ReplicationPlan } from '../../src/core/replication/types.ts';
import { isInWindow, parseWindow } from '../../src/core/replication/window.ts';

const at = (text: string) => 60 * Number(text.slice(0, 2)) + Number(text.slice(3));

describe('the copying window', () => {
  it.each([
    ['22:00-06:00', '21:59', false],
    ['22:00-06:00', '22:00', true],
    ['22:00-06:00', '00:00', true],
    ['22:00-06:00', '05:59', true],
    ['22:00-06:00', '06:00', false],
    ['09:30-17:00', '09:29', false],
    ['09:30-17:00', '12:00', true],
    ['09:30-17:00', '17:00', false],
  ])('%s at %s: %s', (text, time, open) => {
    const window = parseWindow(text);
    expect(window !== null && isInWindow(window, at(time))).toBe(open);
  });

  it.each(['', '22-06', '24:00-06:00', '22:60-06:00', '22:00-22:00', '22:00-06:00 '])('%j is none', (text) => {
    expect(parseWindow(text)).toBeNull();
  });
});

describe('the gate before the replicator', () => {
  const order = (path: string, required: boolean): FetchModel => {
    const base = { path, manifestDigest: '', from: 'gpu1', sources: ['gpu1'], epoch: 1 };
    return required ? { ...base, required } : base;
  };
  const planOf = (...fetch: FetchModel[]): ReplicationPlan => ({
    fetch,
    conflicts: [],
    extra: [],
    refused: [],
    blocked: null,
    bytesBehind: 1,
    modelsComplete: 0,
    modelsTotal: fetch.length,
  });
  const both = planOf(order('must', true), order('may', false));
  const paths = (plan: ReplicationPlan | null) => plan?.fetch.map(({ path }) => path);

  it('lets everything pass without a window', () => {
    const gate = createGate({ window: null, paused: false, minuteOfDay: () => 0 });
    expect(gate.pass(both)).toBe(both);
    expect(gate.pass(null)).toBeNull();
  });

  it('lets only required models pass outside the window, and gives one object while nothing changes', () => {
    let now = at('12:00');
    const gate = createGate({ window: parseWindow('22:00-06:00'), paused: false, minuteOfDay: () => now });
    expect(paths(gate.pass(both))).toEqual(['must']);
    expect(gate.pass(both)).toBe(gate.pass(both));
    now = at('22:00');
    expect(gate.pass(both)).toBe(both);
  });

  it('lets nothing pass while paused', () => {
    const gate = createGate({ window: null, paused: true, minuteOfDay: () => 0 });
    expect(paths(gate.pass(both))).toEqual([]);
    gate.pause(false);
    expect(gate.pass(both)).toBe(both);
  });

  it('lets blobs ahead of their model pass only while everything passes', () => {
    const ahead = [{ digest: 'ab'.repeat(32), sizeBytes: 1, sources: ['gpu1'] }];
    const plan = { ...both, ahead };
    const gate = createGate({ window: parseWindow('22:00-06:00'), paused: false, minuteOfDay: () => at('12:00') });
    expect(gate.pass(plan)?.ahead).toEqual([]);
    gate.openOnce();
    expect(gate.pass(plan)?.ahead).toBe(ahead);
    gate.pause(true);
    expect(gate.pass(plan)?.ahead).toEqual([]);
  });

  it('opens once on order, until nothing is behind', () => {
    const gate = createGate({ window: parseWindow('22:00-06:00'), paused: false, minuteOfDay: () => at('12:00') });
    gate.openOnce();
    expect([gate.pass(both), gate.windowOpen()]).toEqual([both, true]);
    gate.pass(planOf());
    expect([paths(gate.pass(both)), gate.windowOpen()]).toEqual([['must'], false]);
  });
});
