// What the others see of the address on the wire, and what its holder makes of it.
import { expect, test } from 'vitest';
import { statusOf } from '../../src/agent/status.ts';
import { createCluster } from './cluster.ts';

const MAC = { a: '02:00:00:00:00:0a', b: '02:00:00:00:00:0b', c: '02:00:00:00:00:0c' } as const;
const ALIEN = '02:00:00:00:00:ff';
type Node = keyof typeof MAC;

/** Node a holds the address; every node has told its own MAC. */
function held() {
  const cluster = createCluster(['a', 'b', 'c'], (node) => ({ priority: node === 'a' ? 1 : 0 }));
  for (const node of ['a', 'b', 'c'] as const) cluster.put(node, { k: 'wire', macs: [], own: MAC[node] });
  cluster.elect(10_000);
  cluster.run(cluster.now() + 5000);
  expect(cluster.active()).toEqual(['a']);
  return cluster;
}

/** For `ms`, every second each watcher sees these MACs. */
function watch(cluster: ReturnType<typeof held>, seen: Partial<Record<Node, readonly string[]>>, ms: number): void {
  for (const end = cluster.now() + ms; cluster.now() < end; cluster.run(cluster.now() + 1000)) {
    for (const [node, macs] of Object.entries(seen)) cluster.put(node, { k: 'wire', macs, own: MAC[node as Node] });
  }
}

function status(cluster: ReturnType<typeof held>, node: Node) {
  const { state, turn } = cluster.get(node);
  const mono = cluster.now();
  return statusOf({
    state,
    now: { mono, boot: mono, wall: mono },
    turnAt: mono,
    reason: turn.reason,
    preset: 'standard',
    vip: '10.77.0.100/24',
    redis: [],
    vipProblem: '',
    keepalived: null,
    loopLateP99Ms: null,
    version: 'test',
  });
}

test('the holder shows what the others see of it, with its age', () => {
  const cluster = held();
  watch(cluster, { b: [MAC.a], c: [MAC.a] }, 3000);
  const shown = status(cluster, 'a');
  expect(shown).toMatchObject({ vipOwner: 'a', vipOwnerMac: MAC.a, splitBrain: false });
  expect(shown.vipOwnerAgeMs).toBeGreaterThan(500);
  expect(shown.vipOwnerAgeMs).toBeLessThan(2000);
  cluster.run(cluster.now() + 5000);
  expect(status(cluster, 'a').vipOwnerAgeMs).toBeGreaterThan(5000);
  expect(cluster.active()).toEqual(['a']);
});

test('a holder whose watchers all see another node answer gives the role up after two seconds', () => {
  const cluster = held();
  watch(cluster, { b: [MAC.c], c: [MAC.c] }, 2000);
  expect(cluster.active()).toEqual(['a']);
  watch(cluster, { b: [MAC.c], c: [MAC.c] }, 1000);
  expect(cluster.active()).not.toContain('a');
  expect(cluster.active()).toHaveLength(1);
  const moves = cluster.get('a').effects.flatMap((e) => (e.k === 'log' && e.event === 'moving' ? [e.text] : []));
  expect(moves).toEqual([expect.stringContaining(`split brain: c (${MAC.c}) answers for the address instead of this node`)]);
});

test('one watcher that sees the holder is enough to stay', () => {
  const cluster = held();
  watch(cluster, { b: [MAC.c], c: [MAC.a] }, 10_000);
  expect(cluster.active()).toEqual(['a']);
});

test('two MACs side by side are told everywhere, but the newest lease stays', () => {
  const cluster = held();
  watch(cluster, { b: [MAC.a, MAC.c], c: [MAC.a] }, 10_000);
  expect(cluster.active()).toEqual(['a']);
  expect(cluster.get('b').log.filter((line) => line.includes('split_brain_suspected'))).toHaveLength(1);
  for (const node of ['a', 'b'] as const) {
    expect(status(cluster, node).splitBrain).toBe(true);
    expect(status(cluster, node).warnings).toContain(`split brain suspected: ${MAC.a} (a) and ${MAC.c} (c) answer for the address`);
  }
});

test('a machine outside the cluster would meet every holder: the role stays, and says so', () => {
  const cluster = held();
  watch(cluster, { b: [ALIEN], c: [ALIEN] }, 10_000);
  expect(cluster.active()).toEqual(['a']);
  expect(cluster.get('a').turn.reason).toContain(
    `DEGRADED (no better node): a machine outside the cluster answers for the address: ${ALIEN}`,
  );
  watch(cluster, { b: [MAC.a], c: [MAC.a] }, 1500);
  expect(cluster.get('a').turn.reason).not.toContain('DEGRADED');
});

test('what was seen of an earlier holder does not count against the new one', () => {
  const cluster = held();
  watch(cluster, { b: [MAC.a], c: [MAC.a] }, 3000);
  cluster.put('a', { k: 'command', id: 1, command: { k: 'switchover', to: 'b', by: 'op', dryRun: false } });
  cluster.run(cluster.now() + 10_000);
  expect(cluster.active()).toEqual(['b']);
  // Nobody has looked since: only the own interface tells.
  expect(status(cluster, 'b')).toMatchObject({ vipOwner: 'b', vipOwnerMac: MAC.b });
});
