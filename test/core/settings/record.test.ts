import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changed, checkSettings, compare, hashOf, merge, readSettings, textOf } from '../../../src/core/settings/record.ts';
import { NO_SETTINGS, type Settings, type SettingsChange } from '../../../src/core/settings/types.ts';

const node = fc.constantFrom('a', 'b', 'gpu-3');
const by = fc.constantFrom('', 'ann', 'bob');
const change: fc.Arbitrary<SettingsChange> = fc.oneof(
  fc.record({ k: fc.constant('pause' as const), paused: fc.boolean(), by }),
  fc.record({ k: fc.constant('maintenance' as const), node, on: fc.boolean(), by, drainUntilMs: fc.nat() }),
  fc.record({ k: fc.constant('schedule' as const), to: fc.oneof(node, fc.constant('')), atMs: fc.nat(), by }),
  fc.constant({ k: 'unschedule' as const }),
  fc.record({ k: fc.constant('drop' as const), node }),
);
const settings = fc.array(change, { maxLength: 5 }).map((changes) => changes.reduce(changed, NO_SETTINGS));

describe('two copies join', () => {
  test('the same in whatever order, grouping and repetition', () => {
    fc.assert(
      fc.property(settings, settings, settings, (a, b, c) => {
        expect(merge(a, b)).toEqual(merge(b, a));
        expect(merge(merge(a, b), c)).toEqual(merge(a, merge(b, c)));
        expect(merge(a, a)).toEqual(a);
        expect(compare(a, b)).toBe(-compare(b, a) + 0);
      }),
    );
  });

  test('to the higher version, and of two records of one version to the same one everywhere', () => {
    const older = changed(NO_SETTINGS, { k: 'pause', paused: true, by: 'ann' });
    const newer = changed(older, { k: 'pause', paused: false, by: 'ann' });
    expect(merge(older, newer)).toBe(newer);
    const rival = changed(older, { k: 'maintenance', node: 'a', on: true, by: 'bob', drainUntilMs: 0 });
    expect(rival.version).toBe(newer.version);
    expect(merge(newer, rival)).toBe(merge(rival, newer));
  });
});

describe('a change', () => {
  test('raises the version by one and touches nothing else', () => {
    fc.assert(fc.property(settings, change, (s, c) => void expect(changed(s, c).version).toBe(s.version + 1)));
    const s = changed(changed(NO_SETTINGS, { k: 'pause', paused: true, by: 'ann' }), { k: 'schedule', to: 'a', atMs: 5, by: 'bob' });
    expect(s).toMatchObject({ version: 2, paused: true, pausedBy: 'ann', schedule: { id: 2, to: 'a', atMs: 5, by: 'bob' } });
    expect(changed(s, { k: 'pause', paused: false, by: 'eve' })).toMatchObject({ paused: false, pausedBy: '', schedule: { id: 2 } });
  });

  test('keeps each node once, and drops what names a node that left', () => {
    const on = (s: Settings, name: string) => changed(s, { k: 'maintenance', node: name, on: true, by: 'ann', drainUntilMs: 0 });
    const both = on(on(on(NO_SETTINGS, 'b'), 'a'), 'b');
    expect(both.maintenance.map((m) => m.node)).toEqual(['a', 'b']);
    const planned = changed(both, { k: 'schedule', to: 'b', atMs: 5, by: '' });
    expect(changed(planned, { k: 'drop', node: 'b' })).toMatchObject({ maintenance: [{ node: 'a' }], schedule: null });
  });
});

describe('reading', () => {
  test('gives back what was written, with the same hash', () => {
    fc.assert(
      fc.property(settings, (s) => {
        expect(readSettings(textOf(s))).toEqual(s);
        expect(Number.isSafeInteger(hashOf(s))).toBe(true);
      }),
    );
  });

  test('never throws, whatever the text', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void readSettings(text)));
    fc.assert(fc.property(fc.anything(), (value) => void checkSettings(value)));
  });

  const good = { version: 1, paused: true, pausedBy: 'ann', maintenance: [{ node: 'a', by: '', drainUntilMs: 0 }], schedule: null };
  test.each([
    ['a version that is no count', { ...good, version: -1 }],
    ['a version beyond counting', { ...good, version: 2 ** 50 }],
    ['a name with a control character', { ...good, pausedBy: 'a\u001b[2J' }],
    ['an endless name', { ...good, pausedBy: 'x'.repeat(65) }],
    ['a node that is no label', { ...good, maintenance: [{ node: 'A b', by: '', drainUntilMs: 0 }] }],
    ['a node twice', { ...good, maintenance: [good.maintenance[0], good.maintenance[0]] }],
    ['too many nodes', { ...good, maintenance: Array.from({ length: 257 }, (_, i) => ({ node: `n${i}`, by: '', drainUntilMs: 0 })) }],
    ['half a schedule', { ...good, schedule: { id: 1, to: 'a' } }],
    ['no schedule field', { version: 1, paused: true, pausedBy: '', maintenance: [] }],
  ])('refuses %s', (_case, raw) => {
    expect(checkSettings(good)).not.toBeNull();
    expect(checkSettings(raw)).toBeNull();
  });
});
