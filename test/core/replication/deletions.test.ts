import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  acceptDeletions,
  type DeletionState,
  type DeletionView,
  NO_DELETIONS,
  PASS_MS,
  pendingDeletions,
  stepDeletions,
} from '../../../src/core/replication/deletions.ts';
import type { DeletionPolicy, Inventory } from '../../../src/core/replication/types.ts';

const GRACE = 600_000;
const POLICY: DeletionPolicy = { follow: true, graceMs: GRACE, maxPerPass: 3 };
const pathOf = (name: string) => `registry.ollama.ai/library/${name}/latest`;
const digestOf = (name: string) => Buffer.from(name).toString('hex').padStart(64, '0');

function inventory(names: readonly string[], refused: string | null = null): Inventory {
  const models = names.map((name) => ({
    path: pathOf(name),
    manifestDigest: digestOf(name),
    manifestBytes: 10,
    sizeBytes: 100,
    complete: true,
    missingBytes: 0,
    weights: '',
  }));
  return { version: 1, models, refused };
}

/** A standby of gpu1 that looks again and again; `see` is one look. */
function standby(policy: DeletionPolicy = POLICY) {
  let state: DeletionState = NO_DELETIONS;
  let mono = 0;
  let active = inventory([]);
  let source = { node: 'gpu1', boot: 1, epoch: 7, healthy: true };
  let own: Inventory | null = inventory([]);
  let mayRemove: DeletionView['mayRemove'] = () => true;
  const events: string[] = [];
  const look = () => {
    const turn = stepDeletions(state, { source: { ...source, inventory: active }, own, mayRemove }, policy, mono);
    state = turn.state;
    events.push(...turn.events.map((event) => event.k));
    return state.orders.map(({ path }) => path.split('/')[2] ?? '');
  };
  return {
    events,
    state: () => state,
    has: (...names: string[]) => {
      own = inventory(names);
      return look();
    },
    active: (...names: string[]) => {
      active = inventory(names);
      return look();
    },
    sees: (next: Inventory) => {
      active = next;
      return look();
    },
    is: (next: Partial<typeof source>) => {
      source = { ...source, ...next };
      return look();
    },
    after: (ms: number) => {
      mono += ms;
      return look();
    },
    keeps: (name: string) => {
      mayRemove = (path) => path !== pathOf(name);
    },
    accept: () => {
      state = acceptDeletions(state);
      return look();
    },
  };
}

const ALL = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'];

describe('following deletions', () => {
  it('removes a model after the grace time, and forgets it when it is gone', () => {
    const me = standby();
    me.has('a', 'b', 'c');
    me.active('a', 'b', 'c');
    expect(me.active('a', 'b')).toEqual([]);
    expect(pendingDeletions(me.state(), POLICY)).toEqual([{ path: pathOf('c'), dueAt: GRACE }]);
    expect(me.after(GRACE - 1)).toEqual([]);
    expect(me.after(1)).toEqual(['c']);
    expect(me.has('a', 'b')).toEqual([]);
    expect(me.events).toEqual(['tombstone', 'ordered']);
  });

  it('never removes again what an operator brought back', () => {
    const me = standby();
    me.has('a', 'b', 'c');
    me.active('a', 'b', 'c');
    me.active('a', 'b');
    me.after(GRACE);
    me.has('a', 'b');
    expect([me.has('a', 'b', 'c'), me.after(GRACE), me.after(PASS_MS)]).toEqual([[], [], []]);
  });

  it('never with delete: never', () => {
    const me = standby({ ...POLICY, follow: false });
    me.has('a', 'b', 'c');
    me.active('a', 'b', 'c');
    me.active('a', 'b');
    expect(me.after(2 * GRACE)).toEqual([]);
  });

  it('takes only what it saw there before: a model that only this node has stays', () => {
    const me = standby();
    me.has('a', 'b', 'mine');
    me.active('a', 'b');
    expect(me.after(2 * GRACE)).toEqual([]);
  });

  it('forgets what vanished while the active was not well, or its store refused', () => {
    const me = standby();
    me.has('a', 'b', 'c', 'd');
    me.active('a', 'b', 'c', 'd');
    me.is({ healthy: false });
    me.active('a', 'b', 'c');
    me.is({ healthy: true });
    me.sees(inventory([], 'cannot be read'));
    me.active('a', 'b');
    expect([me.after(2 * GRACE), me.events]).toEqual([[], []]);
  });

  it('forgets a model that vanished right after a moment of doubt, and sees the next', () => {
    const me = standby();
    me.has('a', 'b', 'c');
    me.active('a', 'b', 'c');
    me.is({ healthy: false });
    me.is({ healthy: true });
    me.after(9999);
    me.active('a', 'b');
    expect(me.events).toEqual([]);
    me.after(1);
    me.active('a');
    expect(me.events).toEqual(['tombstone']);
  });

  it('waits while the active is not well at the time of the removal', () => {
    const me = standby();
    me.has('a', 'b', 'c');
    me.active('a', 'b', 'c');
    me.active('a', 'b');
    me.is({ healthy: false });
    expect(me.after(GRACE)).toEqual([]);
    expect(me.is({ healthy: true })).toEqual(['c']);
  });

  it.each([{ epoch: 8 }, { node: 'gpu2' }, { boot: 2 }])('drops its tombstones when the active changes: %j', (change) => {
    const me = standby();
    me.has('a', 'b', 'c');
    me.active('a', 'b', 'c');
    me.active('a', 'b');
    me.is(change);
    expect(me.after(2 * GRACE)).toEqual([]);
  });

  it('a model that comes back in time stays', () => {
    const me = standby();
    me.has('a', 'b', 'c');
    me.active('a', 'b', 'c');
    me.active('a', 'b');
    me.after(GRACE - 1);
    me.active('a', 'b', 'c');
    expect(me.after(GRACE)).toEqual([]);
  });

  it('leaves a model alone that differs here, is required, or takes no part', () => {
    const me = standby();
    me.has('a', 'b', 'c', 'd');
    me.keeps('c');
    const other = inventory(['d']).models.map((model) => ({ ...model, manifestDigest: digestOf('other') }));
    me.sees({ ...inventory([]), models: [...inventory(['a', 'b', 'c']).models, ...other] });
    me.active('a', 'b');
    expect(me.after(2 * GRACE)).toEqual([]);
  });

  it('removes at most maxPerPass in one pass, and the next pass comes later', () => {
    const me = standby({ ...POLICY, maxPerPass: 2 });
    me.has(...ALL);
    me.active(...ALL);
    me.active(...ALL.slice(3));
    expect(me.after(GRACE)).toEqual(['a', 'b']);
    expect(me.has(...ALL.slice(2))).toEqual([]);
    expect(me.after(PASS_MS - 1)).toEqual([]);
    expect(me.after(1)).toEqual(['c']);
  });

  it('removes at most half of the store in one pass', () => {
    const me = standby();
    me.has('a', 'b', 'c');
    me.active(...ALL);
    me.active('a', ...ALL.slice(3));
    expect(me.after(GRACE)).toEqual(['b']);
  });

  it('one that cannot be removed does not hold up the others', () => {
    const me = standby({ ...POLICY, maxPerPass: 1 });
    me.has(...ALL);
    me.active(...ALL);
    me.active(...ALL.slice(2));
    expect(me.after(GRACE)).toEqual(['a']);
    expect(me.after(PASS_MS)).toEqual(['b']);
    expect(me.after(PASS_MS)).toEqual(['a']);
  });

  it.each([
    { was: ALL, is: ALL.slice(4), alert: true },
    { was: ALL, is: ALL.slice(3), alert: false },
    { was: ['a', 'b'], is: [], alert: true },
    { was: ['a'], is: [], alert: true },
  ])('a source that shrank suddenly from $was to $is raises an alert: $alert', ({ was, is, alert }) => {
    const me = standby();
    me.has(...was, 'x', 'y', 'z');
    me.active(...was);
    me.active(...is);
    expect(me.events.includes('alert')).toBe(alert);
    expect(me.after(3 * GRACE).length > 0).toBe(!alert);
  });

  it('sees a slow wipe too: losses within the grace time add up', () => {
    const me = standby();
    me.has(...ALL);
    me.active(...ALL);
    for (let gone = 1; gone <= 4; gone++) {
      me.after(60_000);
      me.active(...ALL.slice(gone));
    }
    expect(me.state().alert).toMatchObject({ lost: 4, of: 12 });
    expect(me.after(3 * GRACE)).toEqual([]);
  });

  it('ends the alert by itself only when every model is back', () => {
    const me = standby();
    me.has(...ALL);
    me.active(...ALL);
    me.active('a');
    me.active(...ALL.slice(1));
    expect(me.state().alert).not.toBeNull();
    me.active(...ALL);
    expect(me.state().alert).toBeNull();
    expect(me.events.at(-1)).toBe('recovered');
    expect(me.after(3 * GRACE)).toEqual([]);
  });

  it('carries an accepted loss out, at the usual pace', () => {
    const me = standby();
    me.has(...ALL);
    me.active(...ALL);
    me.active();
    me.after(GRACE);
    expect(me.accept()).toEqual(['a', 'b', 'c']);
    me.has('l');
    expect(me.after(PASS_MS)).toEqual(['l']);
  });

  it('never orders more than the cap, half the store, or anything during an alert, whatever happens', () => {
    const names = fc.subarray(ALL);
    const act = fc.oneof(
      names.map((list) => ({ k: 'active' as const, list })),
      names.map((list) => ({ k: 'own' as const, list })),
      fc.nat(2 * GRACE).map((ms) => ({ k: 'after' as const, ms })),
      fc.boolean().map((healthy) => ({ k: 'health' as const, healthy })),
    );
    fc.assert(
      fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
        const me = standby();
        let ownCount = 0;
        const ever = new Set<string>();
        let present: readonly string[] = [];
        for (const one of acts) {
          const before = me.state().passAt;
          let orders: readonly string[] = [];
          if (one.k === 'active') {
            present = one.list;
            for (const name of one.list) ever.add(name);
            orders = me.active(...one.list);
          } else if (one.k === 'own') {
            ownCount = one.list.length;
            orders = me.has(...one.list);
          } else orders = one.k === 'after' ? me.after(one.ms) : me.is({ healthy: one.healthy });
          if (me.state().passAt !== before) expect(orders.length).toBeLessThanOrEqual(Math.min(3, Math.floor(ownCount / 2)));
          if (me.state().alert !== null) expect(orders).toEqual([]);
          expect(orders.every((name) => ever.has(name) && !present.includes(name))).toBe(true);
        }
      }),
    );
  });
});
