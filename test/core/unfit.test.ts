// The role and an Ollama that serves badly: it moves to a fitter node, and only to such a one.
import { describe, expect, it } from 'vitest';
import type { Evidence } from '../../src/core/health/types.ts';
import { createCluster, inventory } from './cluster.ts';

const nodes = ['a', 'b', 'c'] as const;
const weights = 'cd'.repeat(32);
const digest = 'ab'.repeat(32);
const frozen: Evidence = {
  k: 'runners',
  runners: [{ pid: 9, startedAt: 1, port: 4000, weights, answer: 'silent', ms: 2000, worked: false, stopped: true }],
};
const loaded = (contextLength: number): Evidence => ({
  k: 'ps',
  status: 200,
  ms: 1,
  loaded: [{ name: 'm:latest', digest, sizeBytes: 1000, vramBytes: 1000, contextLength, expiresInMs: null }],
});

function freeze(c: ReturnType<typeof createCluster>, node: string): void {
  for (let n = 0; n < 3; n += 1) c.put(node, { k: 'evidence', evidence: frozen });
}

describe('an unfit holder', () => {
  it('gives the role to a fitter node, and does not take it back while unfit', () => {
    const c = createCluster(nodes);
    const first = c.elect(10_000);
    c.run(c.now() + 3000);
    freeze(c, first);
    c.run(c.now() + 2000);
    const next = c.active();
    expect(next).toHaveLength(1);
    expect(next).not.toContain(first);
    expect(c.get(first).log.some((line) => line.includes('ollama_degraded'))).toBe(true);
    expect(c.history(next[0] ?? '').at(-1)).toMatchObject({ cause: 'ollama', from: first });
    c.run(c.now() + 5000);
    expect(c.active()).toEqual(next);
  });

  it('keeps the role where every other node is unfit too, and says so once (H3)', () => {
    const c = createCluster(nodes);
    const first = c.elect(10_000);
    c.run(c.now() + 3000);
    for (const node of nodes) if (node !== first) freeze(c, node);
    c.run(c.now() + 1000);
    freeze(c, first);
    c.run(c.now() + 5000);
    expect(c.active()).toEqual([first]);
    expect(c.get(first).state.stuck).toContain('no better node');
    expect(c.get(first).log.filter((line) => line.endsWith('no_better_node'))).toHaveLength(1);
  });

  it('may still take the role over where nobody else lives: serving badly is better than not at all', () => {
    const c = createCluster(nodes);
    const first = c.elect(10_000);
    c.run(c.now() + 3000);
    const others = nodes.filter((n) => n !== first);
    for (const node of others) freeze(c, node);
    c.kill(first);
    expect(others).toContain(c.elect(15_000));
  });
});

describe('the hot set of a cluster', () => {
  it('follows the context of the active on a standby whose own canaries move bytes, and not on one that users talk to', () => {
    const c = createCluster(nodes, () => ({ hotSet: { mode: 'mirror', models: [], loadMs: 60_000, retryMs: 1000 } }));
    const first = c.elect(10_000);
    const [free = '', busy = ''] = nodes.filter((n) => n !== first);
    for (const node of nodes) c.put(node, { k: 'inventory', inventory: inventory(1, ['m']) });
    const still = { users: 0, movedBytes: 0, waiting: 0, waitingMs: 0, prompting: 0, speaking: 0, quietMs: 0, saidMs: 0 };
    c.put(free, { k: 'evidence', evidence: { k: 'traffic', ...still, movedBytes: 500 } });
    c.put(busy, { k: 'evidence', evidence: { k: 'traffic', ...still, movedBytes: 500, users: 1, speaking: 1 } });
    c.put(first, { k: 'evidence', evidence: loaded(8192) });
    c.run(c.now() + 1000);
    for (const node of [free, busy]) c.put(node, { k: 'evidence', evidence: loaded(4096) });
    expect(c.get(free).turn.desired.care.load).toMatchObject({ model: 'm:latest', numCtx: 8192 });
    expect(c.get(busy).turn.desired.care.load).toBeNull();
    expect(c.get(busy).state.hot.report.missing[0]?.why).toContain('users of this node use it');
  });

  it('is what the active has loaded: standbys are told to load it, count it, and the warm one is the better heir', () => {
    const c = createCluster(nodes, () => ({ hotSet: { mode: 'mirror', models: [], loadMs: 60_000, retryMs: 1000 } }));
    const first = c.elect(10_000);
    const others = nodes.filter((n) => n !== first);
    for (const node of nodes) c.put(node, { k: 'inventory', inventory: inventory(1, ['m']) });
    c.put(first, { k: 'evidence', evidence: loaded(4096) });
    c.run(c.now() + 1000);
    const [cold = '', warm = ''] = others;
    for (const node of others) c.put(node, { k: 'evidence', evidence: { k: 'ps', status: 200, ms: 1, loaded: [] } });
    expect(c.get(warm).turn.desired.care.load).toMatchObject({ model: 'm:latest', numCtx: null, keepAliveS: null });
    c.put(warm, { k: 'evidence', evidence: { k: 'load', model: 'm:latest', state: 'done', ms: 5, error: '' } });
    c.put(warm, { k: 'evidence', evidence: loaded(4096) });
    c.run(c.now() + 1000);
    expect(c.get(warm).state.hot.report).toMatchObject({ hot: 1, wanted: 1 });
    expect(c.get(cold).state.hot.report).toMatchObject({ hot: 0, wanted: 1 });
    c.kill(first);
    expect(c.elect(15_000)).toBe(warm);
  });
});
