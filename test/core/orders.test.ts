import { describe, expect, it } from 'vitest';
import { NO_SETTINGS } from '../../src/core/settings/types.ts';
import { abc, activeFrame, aFirst, maintain, pause, reasonOf, settled } from './orders-kit.ts';

describe('pause', () => {
  it('reaches every node, keeps the holder, and lets nobody take over until it ends', () => {
    const cluster = settled();
    const id = cluster.order('c', pause(true, true));
    cluster.run(cluster.now() + 1000);
    expect(cluster.answer(id)).toMatchObject({ outcome: 'done', text: expect.stringContaining('confirmed by every living node') });
    cluster.run(cluster.now() + 10_000);
    expect(cluster.active()).toEqual(['a']);
    cluster.kill('a');
    cluster.run(cluster.now() + 20_000);
    expect(cluster.active()).toEqual([]);
    expect(reasonOf(cluster, 'b')).toContain('paused by ann');
    cluster.order('b', pause(false));
    cluster.run(cluster.now() + 1000);
    expect(cluster.active()).toEqual(['b']);
    cluster.run(cluster.now() + 5000);
    expect(cluster.history('b').filter((e) => e.from === 'a')).toHaveLength(1);
  });

  it('refuses a switchover with its own name as the veto, wherever it is asked', () => {
    const cluster = settled();
    cluster.order('a', pause(true));
    cluster.run(cluster.now() + 500);
    for (const node of abc) {
      const id = cluster.order(node, { k: 'switchover', to: 'b', by: 'bob', dryRun: false });
      expect(cluster.answer(id)).toMatchObject({ outcome: 'refused', vetoes: ['paused by ann'] });
    }
    expect(cluster.active()).toEqual(['a']);
  });

  it('keeps the role where Ollama died, and says that it is the pause', () => {
    const cluster = settled();
    cluster.order('a', pause(true));
    cluster.put('a', { k: 'evidence', evidence: { k: 'conn', up: false } });
    cluster.put('a', { k: 'evidence', evidence: { k: 'connect', result: 'refused' } });
    cluster.run(cluster.now() + 3000);
    expect(cluster.active()).toEqual(['a']);
    expect(reasonOf(cluster, 'a')).toContain('DEGRADED (paused by ann): ollama is down');
  });

  it('is not confirmed while a living node has not got it, and says which', () => {
    const cluster = settled();
    cluster.deaf.add('c');
    const id = cluster.order('a', pause(true, true));
    cluster.run(cluster.now() + 9500);
    expect(cluster.answer(id)).toBeUndefined();
    cluster.run(cluster.now() + 1000);
    expect(cluster.answer(id)).toMatchObject({ outcome: 'incomplete', vetoes: ['c has not confirmed'] });
  });

  it('does not wait for a node that died meanwhile', () => {
    const cluster = settled();
    cluster.kill('c');
    const id = cluster.order('a', pause(true, true));
    cluster.run(cluster.now() + 100);
    expect(cluster.answer(id)).toBeUndefined();
    cluster.run(cluster.now() + 5000);
    expect(cluster.answer(id)).toMatchObject({ outcome: 'done' });
  });

  it('is on disk and comes back with a process, also where nobody else is left to tell', () => {
    const cluster = settled();
    cluster.order('b', pause(true));
    cluster.run(cluster.now() + 500);
    const saved = cluster.get('c').effects.findLast((e) => e.k === 'persistSettings');
    if (saved?.k !== 'persistSettings') throw new Error('c saved nothing');
    expect(saved.settings).toMatchObject({ paused: true, pausedBy: 'ann' });
    for (const node of abc) cluster.kill(node);
    cluster.revive('c', { saved: { settings: saved.settings, roster: null, historyEpoch: 0, losses: [] } });
    cluster.run(cluster.now() + 10_000);
    expect(cluster.active()).toEqual([]);
    cluster.revive('b');
    cluster.run(cluster.now() + 10_000);
    expect(cluster.active()).toEqual([]);
    expect(cluster.get('b').state.settings.paused).toBe(true);
  });

  it('and another change in the same moment at another node are both kept', () => {
    const cluster = settled();
    cluster.order('b', pause(true));
    cluster.order('c', maintain('c', true));
    cluster.run(cluster.now() + 1000);
    for (const node of abc) {
      expect(cluster.get(node).state.settings).toMatchObject({ version: 2, paused: true, maintenance: [{ node: 'c' }] });
    }
  });
});

describe('maintenance', () => {
  it('moves the role to the best other node at once, as planned by the operator', () => {
    const cluster = settled();
    cluster.order('c', maintain('a', true));
    cluster.run(cluster.now() + 100);
    expect(cluster.active()).toEqual(['b']);
    cluster.run(cluster.now() + 1000);
    for (const node of abc) expect(cluster.history(node).at(-1)).toMatchObject({ from: 'a', to: 'b', cause: 'planned', by: 'ann' });
    cluster.kill('b');
    cluster.run(cluster.now() + 5000);
    expect(cluster.active()).toEqual(['c']);
    cluster.order('c', maintain('a', false));
    cluster.run(cluster.now() + 500);
    cluster.kill('c');
    cluster.run(cluster.now() + 5000);
    expect(cluster.active()).toEqual(['a']);
  });

  it('of the only fit node moves nothing, and says so', () => {
    const cluster = settled((node) => ({ ...aFirst(node), nofailover: node !== 'a' }));
    cluster.order('a', maintain('', true));
    cluster.run(cluster.now() + 2000);
    expect(cluster.active()).toEqual(['a']);
    expect(reasonOf(cluster, 'a')).toContain('DEGRADED (no better node): maintenance by ann');
  });

  it('is refused for a node that nobody knows', () => {
    const cluster = settled();
    const id = cluster.order('a', maintain('gpu9', true));
    expect(cluster.answer(id)).toMatchObject({ outcome: 'refused', vetoes: ['gpu9 is not a member of this cluster'] });
    expect(cluster.get('a').state.settings).toEqual(NO_SETTINGS);
  });
});

describe('drain', () => {
  it('waits for open requests, and moves at the first moment without one', () => {
    const cluster = settled();
    const id = cluster.order('a', maintain('a', true, 30_000));
    cluster.put('a', { k: 'open', count: 3 });
    cluster.run(cluster.now() + 5000);
    expect(cluster.active()).toEqual(['a']);
    expect(reasonOf(cluster, 'a')).toContain('draining 3 connections, 25 s left');
    cluster.put('a', { k: 'open', count: 0 });
    cluster.run(cluster.now() + 500);
    expect(cluster.active()).toEqual(['b']);
    expect(cluster.answer(id)).toMatchObject({ outcome: 'done', text: 'a is drained, b is active' });
  });

  it('moves at the deadline with requests open, and does not call that done', () => {
    const cluster = settled();
    const id = cluster.order('c', maintain('a', true, 3000));
    cluster.run(cluster.now() + 100);
    cluster.put('a', { k: 'open', count: 1 });
    cluster.run(cluster.now() + 2500);
    expect(cluster.active()).toEqual(['a']);
    cluster.run(cluster.now() + 1000);
    expect(cluster.active()).toEqual(['b']);
    expect(cluster.answer(id)).toMatchObject({ outcome: 'incomplete', text: expect.stringContaining('the deadline passed') });
  });
});

describe('a switchover', () => {
  it('is not called done by what a node reads after it stood still: that was said before the order', () => {
    const cluster = settled();
    const { epoch } = cluster.get('a').turn.desired.lease;
    cluster.put('a', { k: 'stalling' });
    const id = cluster.order('a', { k: 'switchover', to: 'b', by: 'ann', dryRun: false });
    cluster.put('a', { k: 'peer', from: 'b', msg: activeFrame(cluster, 'b', epoch + 1) });
    expect(cluster.answer(id)).toBeUndefined();
    cluster.put('a', { k: 'peer', from: 'c', msg: activeFrame(cluster, 'c', epoch + 2) });
    cluster.put('a', { k: 'stall', lateMs: 2000 });
    expect(cluster.answer(id)).toMatchObject({ outcome: 'incomplete', text: 'c took over instead of b' });
  });
});
