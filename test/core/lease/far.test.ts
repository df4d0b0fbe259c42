import { describe, expect, test } from 'vitest';
import { presets } from '../../../src/config/presets.ts';
import { farPollMs } from '../../../src/core/lease/state.ts';
import { waitMs } from '../../../src/core/lease/timing.ts';

describe('nodes far from the role', () => {
  test('look every half second while they are few', () => {
    for (const nodes of [0, 3, 16, 20]) expect(farPollMs(presets.standard, nodes)).toBe(500);
  });

  test('send one server forty questions a second together, however many they are', () => {
    for (const nodes of [21, 32, 64]) expect((1000 / farPollMs(presets.standard, nodes)) * nodes).toBeLessThanOrEqual(40);
  });

  test('look as seldom as is of use when they can never claim', () => {
    expect(farPollMs(presets.standard, Number.POSITIVE_INFINITY)).toBeGreaterThan(3 * 500);
  });

  test('look more than once while a record could become ripe, with every preset and any number of nodes', () => {
    for (const preset of Object.values(presets))
      for (const nodes of [...Array(257).keys(), Number.POSITIVE_INFINITY]) {
        const ripeAfterMs = waitMs(preset.ttlMs, 5000);
        expect(farPollMs(preset, nodes)).toBeGreaterThanOrEqual(preset.pollMs);
        expect(farPollMs(preset, nodes) + preset.pollMs).toBeLessThan(ripeAfterMs);
      }
  });
});
