import { describe, expect, it } from 'vitest';
import { NO_SETTINGS } from '../../src/core/settings/types.ts';
import { createCluster } from './cluster.ts';
import { abc, aFirst, reasonOf, settled } from './orders-kit.ts';

describe('the roster', () => {
  it('loses a node that leaves, after the role has moved away from it, and takes it in again when it starts anew', () => {
    const cluster = settled();
    expect(cluster.meta().roster).toEqual(abc);
    const id = cluster.order('a', { k: 'leave', by: 'ann' });
    cluster.run(cluster.now() + 2000);
    expect(cluster.answer(id)).toMatchObject({ outcome: 'done' });
    expect(cluster.active()).toEqual(['b']);
    expect(cluster.meta().roster).toEqual(['b', 'c']);
    expect(reasonOf(cluster, 'a')).toContain('not in the roster');
    cluster.kill('b');
    cluster.kill('c');
    cluster.run(cluster.now() + 10_000);
    expect(cluster.active()).toEqual([]);
    cluster.revive('b');
    cluster.run(cluster.now() + 10_000);
    expect(cluster.active()).toEqual(['b']);
    cluster.kill('a');
    cluster.revive('a');
    cluster.run(cluster.now() + 10_000);
    expect(cluster.meta().roster).toEqual(abc);
  });

  it('keeps a node that was started again before its earlier wish to leave arrived', () => {
    const cluster = settled();
    const { boot } = cluster.get('c').state.config.self;
    cluster.kill('c');
    cluster.revive('c');
    cluster.run(cluster.now() + 3000);
    cluster.put('a', { k: 'peer', from: 'c', msg: { k: 'rosterRequest', id: 1, node: 'c', by: 'ann', leaving: true, boot } });
    cluster.run(cluster.now() + 3000);
    expect(cluster.meta().roster).toEqual(abc);
  });

  it('is said again above what a failed claim left behind, so that nobody stays out by it', () => {
    const cluster = settled();
    const seen = cluster.get('c').state.lease.servers[0];
    if (seen == null) throw new Error('c has seen no record');
    const { epoch } = cluster.get('a').turn.desired.lease;
    const meta = JSON.stringify({ ...cluster.meta(), roster: ['a', 'b'], rosterVersion: cluster.meta().rosterVersion + 1 });
    const snap = { ...seen.snap, o: 'b#1000', e: String(epoch + 1), n: 'b#1000:99', rel: '1', meta };
    for (const node of ['a', 'c']) cluster.put(node, { k: 'reply', server: 0, op: -1, code: 'ok', snap });
    expect(cluster.get('c').state.lease.roster?.nodes).toEqual(['a', 'b']);
    cluster.run(cluster.now() + 3000);
    expect(cluster.meta().roster).toEqual(abc);
    for (const node of abc) expect(cluster.get(node).state.lease.roster?.nodes, node).toEqual(abc);
  });

  it('keeps a node that nobody could replace', () => {
    const cluster = settled((node) => ({ ...aFirst(node), nofailover: node !== 'a' }));
    const id = cluster.order('a', { k: 'leave', by: 'ann' });
    cluster.run(cluster.now() + 1000);
    expect(cluster.answer(id)).toMatchObject({ outcome: 'refused' });
    expect(cluster.active()).toEqual(['a']);
    expect(cluster.get('a').state.left).toBe(false);
  });

  it('loses a dead node that is forgotten, with its row everywhere, and failsafe asks it no more', () => {
    const cluster = settled();
    expect(cluster.answer(cluster.order('b', { k: 'forget', node: 'c', by: 'ann' }))).toMatchObject({
      outcome: 'refused',
      vetoes: [expect.stringContaining('c is alive')],
    });
    cluster.kill('c');
    cluster.run(cluster.now() + 5000);
    const id = cluster.order('b', { k: 'forget', node: 'c', by: 'ann' });
    cluster.run(cluster.now() + 5000);
    expect(cluster.answer(id)).toMatchObject({ outcome: 'done' });
    expect(cluster.meta().roster).toEqual(['a', 'b']);
    for (const node of ['a', 'b']) expect([...cluster.get(node).state.membership.peers.values()].filter((p) => !p.reaped)).toHaveLength(1);
    for (const node of ['a', 'b']) cluster.cutRedis.add(node);
    cluster.run(cluster.now() + 20_000);
    expect(cluster.active()).toEqual(['a']);
  });

  it('takes in a candidate that gossip admitted, which may not claim before', () => {
    // d knows all, but the others list only themselves.
    const cluster = createCluster([...abc, 'd'], (node) => ({ ...aFirst(node), roster: node === 'd' ? [...abc, 'd'] : abc }));
    cluster.get('d').alive = false;
    expect(cluster.elect(10_000)).toBe('a');
    expect(cluster.meta().roster).toEqual(abc);
    cluster.revive('d', { priority: 9 });
    cluster.run(cluster.now() + 3000);
    expect(cluster.meta().roster).toEqual([...abc, 'd']);
    cluster.run(cluster.now() + 3000);
    cluster.kill('a');
    cluster.run(cluster.now() + 5000);
    expect(cluster.active()).toEqual(['d']);
  });

  it('on disk keeps a removed node out, also when nobody else is there', () => {
    const cluster = settled();
    cluster.order('c', { k: 'leave', by: 'ann' });
    cluster.run(cluster.now() + 3000);
    const saved = cluster.get('c').effects.findLast((e) => e.k === 'persistRoster');
    if (saved?.k !== 'persistRoster') throw new Error('c saved no roster');
    expect(saved.roster.nodes).toEqual(['a', 'b']);
    for (const node of abc) cluster.kill(node);
    cluster.revive('c', { saved: { settings: NO_SETTINGS, roster: saved.roster, historyEpoch: 0, losses: [] } });
    cluster.run(cluster.now() + 20_000);
    expect(cluster.active()).toEqual([]);
  });
});

describe('history', () => {
  it('of a switchover has cause, operator and the times of every phase at the heir', () => {
    const cluster = settled();
    cluster.order('c', { k: 'switchover', to: 'b', by: 'ann', dryRun: false });
    cluster.run(cluster.now() + 3000);
    for (const node of abc) expect(cluster.history(node).at(-1)).toMatchObject({ from: 'a', to: 'b', cause: 'planned', by: 'ann' });
    const phasesMs: Readonly<Record<string, number>> = cluster.history('b').at(-1)?.phasesMs ?? {};
    for (const phase of ['revokeMs', 'releaseMs', 'claimMs', 'vipMs', 'totalMs']) expect(phasesMs[phase], phase).toBeGreaterThan(0);
    for (const node of ['a', 'c']) expect(cluster.history(node).at(-1)?.phasesMs).toEqual(phasesMs);
    expect(cluster.get('b').effects.some((e) => e.k === 'history' && e.publish && e.entry.to === 'b')).toBe(true);
    expect(cluster.get('c').effects.some((e) => e.k === 'history' && e.publish)).toBe(false);
  });

  it('of a failover says expired, and a restarted node does not write its line twice', () => {
    const cluster = settled();
    cluster.kill('a');
    cluster.run(cluster.now() + 5000);
    const epoch = cluster.history('b').at(-1)?.epoch ?? 0;
    expect(cluster.history('c').at(-1)).toMatchObject({ from: 'a', to: 'b', cause: 'expired', by: '' });
    const before = cluster.history('c').length;
    cluster.kill('c');
    cluster.revive('c', { saved: { settings: NO_SETTINGS, roster: null, historyEpoch: epoch, losses: [] } });
    cluster.run(cluster.now() + 3000);
    expect(cluster.history('c')).toHaveLength(before);
  });
});

describe('a node that keeps losing the role', () => {
  it('stands behind the others for a while, and is heir nevertheless when nobody else is fit', () => {
    const losses = [0, 10_000, 20_000].map((agoMs) => ({ node: 'a', agoMs }));
    const saved = { settings: NO_SETTINGS, roster: null, historyEpoch: 0, losses };
    const cluster = createCluster(abc, (node) => ({ ...aFirst(node), ...(node === 'a' ? { saved } : {}) }));
    expect(cluster.elect(10_000)).toBe('b');
    cluster.run(cluster.now() + 5000);
    cluster.kill('b');
    cluster.run(cluster.now() + 5000);
    expect(cluster.active()).toEqual(['c']);
    cluster.kill('c');
    cluster.run(cluster.now() + 5000);
    expect(cluster.active()).toEqual(['a']);
  });
});
