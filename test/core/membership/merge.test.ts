import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createMembership, membersOf, stepMembership } from '../../../src/core/membership/machine.ts';
import { type MemberRecord, merge, recordOf } from '../../../src/core/membership/merge.ts';
import type { MembershipInput, MemberUpdate } from '../../../src/core/membership/types.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k'];

const record: fc.Arbitrary<MemberRecord> = fc.record({
  boot: fc.integer({ min: 1, max: 3 }),
  inc: fc.integer({ min: 3, max: 6 }),
  state: fc.constantFrom('alive', 'suspect', 'dead', 'left'),
  accusers: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 8 }).map((list) => [...list].sort()),
});

const update: fc.Arbitrary<MemberUpdate> = fc.record({
  node: fc.constantFrom('b', 'c', 'self'),
  boot: fc.integer({ min: 1, max: 3 }),
  inc: fc.integer({ min: 1, max: 8 }),
  state: fc.constantFrom('alive', 'suspect', 'dead', 'left'),
  by: fc.constantFrom('b', 'c', 'd', 'self'),
  ageMs: fc.integer({ min: 0, max: 5_000 }),
  address: fc.constantFrom('', 'x:1', 'y:2'),
});

const now = (mono: number) => ({ mono, boot: mono, wall: mono });

const config = {
  node: 'self',
  boot: 2,
  cluster: 'lab',
  address: 'self:1',
  peers: [
    { node: 'b', address: 'b:1' },
    { node: 'd', address: 'd:1' },
  ],
  heartbeatMs: 200,
  stallMs: 100,
};

describe('merging two reports on one node', () => {
  test('does not depend on the order of the two', () => {
    fc.assert(
      fc.property(record, record, (a, b) => {
        expect(merge(a, b)).toEqual(merge(b, a));
      }),
    );
  });

  test('does not depend on how reports are grouped', () => {
    fc.assert(
      fc.property(record, record, record, (a, b, c) => {
        expect(merge(merge(a, b), c)).toEqual(merge(a, merge(b, c)));
      }),
      { numRuns: 500 },
    );
  });

  test('changes nothing the second time', () => {
    fc.assert(
      fc.property(record, record, (a, b) => {
        expect(merge(merge(a, b), b)).toEqual(merge(a, b));
      }),
    );
  });

  test('takes a remote dead for an accusation, and left only from the node itself', () => {
    const line = { node: 'b', boot: 1, inc: 1, ageMs: 0, address: '' };
    expect(recordOf({ ...line, state: 'dead', by: 'c' })).toMatchObject({ state: 'suspect', accusers: ['c'] });
    expect(recordOf({ ...line, state: 'left', by: 'c' })).toMatchObject({ state: 'suspect', accusers: ['c'] });
    expect(recordOf({ ...line, state: 'dead', by: 'b' })).toMatchObject({ state: 'left' });
  });
});

describe('the table', () => {
  test('never goes back to an older incarnation, and no gossip alone makes anybody dead', () => {
    fc.assert(
      fc.property(fc.array(fc.array(update, { maxLength: 6 }), { maxLength: 20 }), (tables) => {
        let state = createMembership(config, now(0), 1);
        let before = new Map<string, readonly [number, number]>();
        tables.forEach((members, i) => {
          const input: MembershipInput = { k: 'table', from: 'd', members };
          state = stepMembership(state, input, now(i)).state;
          const after = new Map(membersOf(state).map((m) => [m.node, [m.boot, m.inc] as const]));
          for (const [node, [boot, inc]] of before) {
            const [boot2, inc2] = after.get(node) ?? [0, 0];
            expect(boot2 > boot || (boot2 === boot && inc2 >= inc)).toBe(true);
          }
          for (const m of membersOf(state)) expect(m.state === 'dead' && m.boot > 0).toBe(false);
          before = after;
        });
      }),
    );
  });

  test('never resurrects a tombstone by what was true before it', () => {
    fc.assert(
      fc.property(fc.array(update, { maxLength: 30 }), (updates) => {
        const left = { node: 'c', boot: 2, inc: 4, state: 'left', by: 'c', ageMs: 0, address: 'c:1' } as const;
        let state = createMembership(config, now(0), 1);
        state = stepMembership(state, { k: 'table', from: 'd', members: [{ ...left, state: 'alive' }] }, now(1)).state;
        state = stepMembership(state, { k: 'table', from: 'd', members: [left] }, now(2)).state;
        expect(membersOf(state).find((m) => m.node === 'c')?.state).toBe('left');
        const later = 3_600_100;
        state = stepMembership(state, { k: 'tick' }, now(later)).state;
        state = stepMembership(state, { k: 'tick' }, now(later + 250)).state;
        expect(membersOf(state).find((m) => m.node === 'c')).toBeUndefined();
        const old = updates.filter((u) => u.node === 'c' && (u.boot < 2 || (u.boot === 2 && u.inc <= 4)));
        state = stepMembership(state, { k: 'table', from: 'd', members: old }, now(later + 501)).state;
        expect(membersOf(state).find((m) => m.node === 'c')).toBeUndefined();
        state = stepMembership(state, { k: 'table', from: 'd', members: [{ ...left, inc: 5, state: 'alive' }] }, now(later + 502)).state;
        expect(membersOf(state).find((m) => m.node === 'c')?.state).toBe('alive');
      }),
    );
  });

  test('takes any sequence of inputs without throwing, and always names a next time that is not past', () => {
    const input: fc.Arbitrary<MembershipInput> = fc.oneof(
      fc.constant({ k: 'tick' } as const),
      fc.record({ k: fc.constant('link' as const), peer: fc.constantFrom('b', 'c', 'self'), up: fc.boolean(), hard: fc.boolean() }),
      fc.record({
        k: fc.constant('table' as const),
        from: fc.constantFrom('b', 'self', 'zz'),
        members: fc.array(update, { maxLength: 5 }),
      }),
      fc.record({
        k: fc.constant('probed' as const),
        target: fc.constantFrom('b', 'c', 'none'),
        via: fc.constant('d'),
        ack: fc.constantFrom(true, false, null),
      }),
      fc.record({ k: fc.constant('dialled' as const), target: fc.constantFrom('b', 'none'), ok: fc.boolean() }),
      fc.record({ k: fc.constant('stall' as const), lateMs: fc.integer({ min: 0, max: 9_000 }) }),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(input, fc.integer({ min: 0, max: 900 })), { maxLength: 60 }), (steps) => {
        let state = createMembership(config, now(0), 7);
        let at = 0;
        for (const [one, ms] of steps) {
          at += ms;
          const step = stepMembership(state, one, now(at));
          expect(step.wakeAt).toBeGreaterThanOrEqual(at);
          state = step.state;
          expect(state.lhm).toBeLessThanOrEqual(7);
        }
      }),
    );
  });
});
