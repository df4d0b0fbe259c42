import { describe, expect, it } from 'vitest';
import { createCluster, inventory } from './cluster.ts';

const abc = ['a', 'b', 'c'];

describe('three nodes', () => {
  it('elect exactly one of them, and keep it while nothing happens', () => {
    const cluster = createCluster(abc);
    const first = cluster.elect(10_000);
    cluster.run(cluster.now() + 60_000);
    expect(cluster.active()).toEqual([first]);
    expect(cluster.get(first).state.lease.phase).toMatchObject({ tag: 'active' });
  });

  it('elect the best heir after the active died, and say so in every history', () => {
    const cluster = createCluster(abc, (node) => ({ priority: node === 'c' ? 5 : 0 }));
    const first = cluster.elect(10_000);
    expect(first).toBe('c');
    cluster.run(cluster.now() + 5000);
    cluster.kill(first);
    const died = cluster.now();
    cluster.run(died + 400);
    const next = cluster.elect(10_000);
    expect(next).toBe('a');
    expect(cluster.now() - died).toBeLessThan(2026 + 400);
    cluster.run(cluster.now() + 1000);
    for (const node of ['a', 'b']) {
      const lines = cluster.get(node).effects.flatMap((e) => (e.k === 'history' ? [e.entry] : []));
      expect(lines.at(-1)).toMatchObject({ from: 'c', to: 'a', cause: 'expired' });
    }
  });

  it('switch over on command, asked at a standby, to the node that was named', async () => {
    const cluster = createCluster(abc);
    const first = cluster.elect(10_000);
    cluster.run(cluster.now() + 5000);
    const [asked = '', wanted = ''] = abc.filter((n) => n !== first);
    const before = cluster.get(first).state.holder.epoch;
    cluster.put(asked, { k: 'command', id: 7, command: { k: 'switchover', to: wanted, by: 'op', dryRun: false } });
    const start = cluster.now();
    cluster.run(start + 100);
    expect(cluster.active()).toEqual([wanted]);
    cluster.run(start + 1000);
    const result = cluster.get(asked).effects.find((e) => e.k === 'commandResult');
    expect(result).toMatchObject({ id: 7, result: { outcome: 'done' } });
    expect(cluster.get(wanted).state.holder.epoch).toBe(before + 1);
  });

  it('refuse a switchover to a node with a veto, and name the veto', () => {
    const cluster = createCluster(abc, (node) => ({ nofailover: node === 'b', priority: node === 'a' ? 1 : 0 }));
    cluster.elect(10_000);
    cluster.run(cluster.now() + 5000);
    cluster.put('a', { k: 'command', id: 1, command: { k: 'switchover', to: 'b', by: 'op', dryRun: false } });
    const result = cluster.get('a').effects.find((e) => e.k === 'commandResult');
    expect(result).toMatchObject({ result: { outcome: 'refused', vetoes: ['b: nofailover is set'] } });
    expect(cluster.active()).toEqual(['a']);
  });

  it('move at once when the active Ollama dies, and not when nobody is fitter', () => {
    const cluster = createCluster(abc, (node) => ({ priority: node === 'a' ? 1 : 0 }));
    cluster.elect(10_000);
    cluster.run(cluster.now() + 5000);
    const dies = (node: string) => {
      cluster.put(node, { k: 'evidence', evidence: { k: 'conn', up: false } });
      cluster.put(node, { k: 'evidence', evidence: { k: 'connect', result: 'refused' } });
    };
    dies('a');
    cluster.run(cluster.now() + 200);
    const second = cluster.active()[0] ?? '';
    expect(['b', 'c']).toContain(second);
    const third = second === 'b' ? 'c' : 'b';
    dies(third);
    cluster.run(cluster.now() + 500);
    dies(second);
    cluster.run(cluster.now() + 5000);
    expect(cluster.active()).toEqual([second]);
    expect(cluster.get(second).turn.reason).toContain('DEGRADED (no better node)');
  });

  it('keep the holder by failsafe when it alone is cut from Redis, then hand over to a node that reaches it', () => {
    const cluster = createCluster(abc, (node) => ({ priority: node === 'a' ? 1 : 0 }));
    cluster.elect(10_000);
    cluster.run(cluster.now() + 5000);
    cluster.cutRedis.add('a');
    let gap = 0;
    const end = cluster.now() + 4000;
    while (cluster.now() < end) {
      const from = cluster.now();
      cluster.run(from + 2);
      if (cluster.active().length === 0) gap += cluster.now() - from;
      expect(cluster.active().length).toBeLessThanOrEqual(1);
    }
    expect(cluster.active()).not.toContain('a');
    expect(cluster.active()).toHaveLength(1);
    expect(gap).toBeLessThan(50);
  });

  it('hold through a Redis that is wholly down for a minute, and lapse as soon as one member is gone too', () => {
    const cluster = createCluster(abc);
    const first = cluster.elect(10_000);
    cluster.run(cluster.now() + 5000);
    for (const n of abc) cluster.cutRedis.add(n);
    const until = cluster.now() + 60_000;
    while (cluster.now() < until) {
      cluster.run(cluster.now() + 100);
      expect(cluster.active()).toEqual([first]);
    }
    cluster.kill(abc.find((n) => n !== first) ?? '');
    cluster.run(cluster.now() + 2100);
    expect(cluster.active()).toEqual([]);
  });

  it('do not act without the kernel fence when it is required', () => {
    const cluster = createCluster(abc, (node) => ({ priority: node === 'a' ? 1 : 0 }));
    cluster.elect(10_000);
    cluster.run(cluster.now() + 5000);
    cluster.put('a', { k: 'fence', kind: 'none' });
    expect(cluster.active()).not.toContain('a');
    cluster.run(cluster.now() + 2000);
    expect(cluster.active()).toHaveLength(1);
    expect(cluster.active()).not.toContain('a');
  });

  it('plan to copy what the active holds, and nothing on the active itself', () => {
    const cluster = createCluster(abc, (node) => ({ priority: node === 'a' ? 1 : 0 }));
    cluster.elect(10_000);
    cluster.put('a', { k: 'inventory', inventory: inventory(2, ['minicpm-v', 'llama3.2']) });
    for (const n of ['b', 'c']) cluster.put(n, { k: 'inventory', inventory: inventory(1, []) });
    cluster.run(cluster.now() + 3000);
    expect(cluster.get('a').turn.desired.replicate).toBeNull();
    for (const n of ['b', 'c']) {
      expect(cluster.get(n).turn.desired.replicate?.fetch.map((f) => f.path)).toHaveLength(2);
      expect(cluster.get(n).turn.desired.replicate?.fetch[0]?.from).toBe('a');
    }
  });

  it('leave cleanly: a stopping holder hands over before it goes', () => {
    const cluster = createCluster(abc);
    const first = cluster.elect(10_000);
    cluster.run(cluster.now() + 5000);
    cluster.put(first, { k: 'command', id: 1, command: { k: 'stop' } });
    cluster.run(cluster.now() + 300);
    expect(cluster.active()).toHaveLength(1);
    expect(cluster.active()).not.toContain(first);
  });
});
