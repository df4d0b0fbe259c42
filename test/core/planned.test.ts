import { describe, expect, it } from 'vitest';
import { abc, aFirst, type Cluster, maintain, pause, settled } from './orders-kit.ts';

describe('a planned switchover', () => {
  it('is refused by a holder that does not act any more, and does not take the place of the order before', () => {
    const cluster = settled();
    const first = cluster.order('a', { k: 'switchover', to: 'b', by: 'ann', dryRun: false });
    const second = cluster.order('a', { k: 'switchover', to: 'c', by: 'bob', dryRun: false });
    expect(cluster.answer(second)).toMatchObject({ outcome: 'refused', vetoes: [expect.stringContaining('a does not act under epoch')] });
    cluster.run(cluster.now() + 3000);
    expect(cluster.answer(first)).toMatchObject({ outcome: 'done', text: 'b is active' });
    expect(cluster.history('b').at(-1)).toMatchObject({ to: 'b', by: 'ann' });
  });

  const at = (cluster: Cluster, inMs: number, to = 'b') => ({ k: 'schedule', to, atMs: cluster.wall() + inMs, by: 'ann' }) as const;

  it('happens at its time, at whoever is the holder then, once', () => {
    const cluster = settled();
    expect(cluster.answer(cluster.order('c', at(cluster, 20_000)))).toMatchObject({ outcome: 'done' });
    cluster.run(cluster.now() + 5000);
    const forced = cluster.order('a', { k: 'switchover', to: 'c', by: 'bob', dryRun: false });
    cluster.run(cluster.now() + 14_000);
    expect(cluster.answer(forced)).toMatchObject({ outcome: 'done' });
    expect(cluster.active()).toEqual(['c']);
    cluster.run(cluster.now() + 1500);
    expect(cluster.active()).toEqual(['b']);
    cluster.run(cluster.now() + 5000);
    expect(cluster.active()).toEqual(['b']);
    for (const node of abc) {
      expect(cluster.get(node).state.settings.schedule).toBeNull();
      expect(cluster.history(node).at(-1)).toMatchObject({ from: 'c', to: 'b', cause: 'planned', by: 'ann' });
    }
  });

  it('to the best heir is not passed on by the heir', () => {
    const cluster = settled();
    cluster.order('a', at(cluster, 1000, ''));
    cluster.run(cluster.now() + 20_000);
    expect(cluster.active()).toEqual(['b']);
    expect(cluster.history('b').filter((e) => e.cause === 'planned')).toHaveLength(1);
  });

  it('outlives the agents: it is in every state file', () => {
    const cluster = settled();
    cluster.order('a', at(cluster, 30_000));
    cluster.run(cluster.now() + 500);
    const saved = { settings: cluster.get('b').state.settings, roster: null, historyEpoch: 0, losses: [] };
    for (const node of abc) cluster.kill(node);
    for (const node of abc) cluster.revive(node, { saved });
    cluster.run(cluster.now() + 10_000);
    const first = cluster.active()[0];
    expect(first).toBe('a');
    cluster.run(cluster.now() + 21_000);
    expect(cluster.active()).toEqual(['b']);
  });

  it('that could not happen within a minute is not carried out, and stands in every history', () => {
    const cluster = settled();
    cluster.order('a', at(cluster, 1000));
    cluster.order('a', pause(true));
    cluster.run(cluster.now() + 62_000);
    cluster.order('a', pause(false));
    cluster.run(cluster.now() + 5000);
    expect(cluster.active()).toEqual(['a']);
    for (const node of abc) {
      expect(cluster.history(node).filter((e) => e.cause === 'missed')).toMatchObject([{ by: 'ann', to: 'a' }]);
      expect(cluster.get(node).state.settings.schedule).toBeNull();
    }
    expect(cluster.history('a').at(-1)?.reason).toBe('the planned switchover to b was not carried out: paused by ann');
  });

  it('can be cancelled, once, and is refused in the past, beside another one, and to a stranger', () => {
    const cluster = settled();
    const outcome = (id: number) => cluster.answer(id)?.outcome;
    expect(outcome(cluster.order('a', { k: 'unschedule' }))).toBe('nothing');
    expect(outcome(cluster.order('a', at(cluster, -1)))).toBe('refused');
    expect(outcome(cluster.order('a', at(cluster, 1000, 'gpu9')))).toBe('refused');
    expect(outcome(cluster.order('a', at(cluster, 5000)))).toBe('done');
    expect(outcome(cluster.order('a', at(cluster, 9000)))).toBe('refused');
    cluster.run(cluster.now() + 500);
    expect(outcome(cluster.order('b', { k: 'unschedule' }))).toBe('done');
    cluster.run(cluster.now() + 10_000);
    expect(cluster.active()).toEqual(['a']);
  });
});

describe('a forced failover', () => {
  const force = (to = '') => ({ k: 'failover', to, by: 'ann' }) as const;

  it('is refused while there is a holder, and until its lease has certainly ended', () => {
    const cluster = settled();
    expect(cluster.answer(cluster.order('b', force()))).toMatchObject({
      outcome: 'refused',
      vetoes: [expect.stringContaining('a holds the lease')],
    });
    cluster.kill('a');
    cluster.run(cluster.now() + 1000);
    expect(cluster.answer(cluster.order('b', force()))).toMatchObject({ outcome: 'refused' });
  });

  it('lifts what is only the judgement of the node, for one claim', () => {
    const cluster = settled((node) => ({ ...aFirst(node), nofailover: node !== 'a' }));
    cluster.kill('a');
    cluster.run(cluster.now() + 5000);
    expect(cluster.active()).toEqual([]);
    const id = cluster.order('b', force('c'));
    cluster.run(cluster.now() + 1000);
    expect(cluster.active()).toEqual(['c']);
    expect(cluster.answer(id)).toMatchObject({ outcome: 'done' });
    cluster.run(cluster.now() + 3000);
    expect(cluster.history('b').at(-1)).toMatchObject({ to: 'c', cause: 'forced', by: 'ann' });
    cluster.kill('c');
    cluster.run(cluster.now() + 10_000);
    expect(cluster.active()).toEqual([]);
  });

  it('does not lift a pause, a maintenance, a missing fence', () => {
    const cluster = settled((node) => ({ ...aFirst(node), nofailover: node !== 'a' }));
    cluster.order('a', maintain('c', true));
    cluster.run(cluster.now() + 500);
    cluster.kill('a');
    cluster.put('b', { k: 'fence', kind: 'none' });
    cluster.run(cluster.now() + 5000);
    const outcomes = [cluster.order('b', force('b')), cluster.order('b', force('c'))];
    cluster.run(cluster.now() + 500);
    expect(cluster.answer(outcomes[0] ?? 0)).toMatchObject({ outcome: 'refused', vetoes: ['b: the kernel fence is not proven'] });
    expect(cluster.answer(outcomes[1] ?? 0)).toMatchObject({ outcome: 'refused', vetoes: ['c: maintenance by ann'] });
    cluster.order('b', pause(true));
    expect(cluster.answer(cluster.order('b', force('c')))).toMatchObject({ vetoes: ['paused by ann'] });
  });
});
