import { describe, expect, test } from 'vitest';
import { backoffMsOf, isFailure, withLoss } from '../../src/core/flap.ts';

const at = (mono: number) => ({ mono });

describe('the back-off of a node that loses the role', () => {
  test('begins with the third loss within a minute', () => {
    expect(backoffMsOf([], at(0))).toBe(0);
    expect(backoffMsOf([0, 10_000], at(10_000))).toBe(0);
    expect(backoffMsOf([0, 10_000, 20_000], at(20_000))).toBe(30_000);
    expect(backoffMsOf([0, 10_000, 20_000], at(49_000))).toBe(1000);
    expect(backoffMsOf([0, 10_000, 20_000], at(50_000))).toBe(0);
    expect(backoffMsOf([0, 40_000, 80_000, 120_000], at(120_000))).toBe(0);
  });

  test('doubles with every further loss, is capped, and begins small again after a quiet quarter of an hour', () => {
    const losses = [0, 10_000, 20_000];
    const seen = [30_000];
    for (let i = 1; i <= 7; i++) {
      losses.push(20_000 + i * 60_000);
      seen.push(backoffMsOf(losses, at(losses.at(-1) ?? 0)));
    }
    expect(seen).toEqual([30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000, 600_000]);
    const later = (losses.at(-1) ?? 0) + 1_000_000;
    expect(backoffMsOf([...losses, later], at(later))).toBe(0);
  });

  test('counts what nobody ordered', () => {
    expect(['expired', 'released', 'ollama', 'fence', 'vip'].every(isFailure)).toBe(true);
    expect(['planned', 'stop', 'first', 'missed'].some(isFailure)).toBe(false);
  });

  test('remembers a bounded number of losses', () => {
    let losses: ReadonlyMap<string, readonly number[]> = new Map();
    for (let i = 0; i < 100; i++) losses = withLoss(losses, 'a', i * 1000);
    expect(losses.get('a')?.length).toBe(16);
  });
});
