// What a drill refuses, what it says it would do, how an outage is measured, and what counts as passed.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { type DrillKind, type DrillSite, mustMove, refusalsOf, sentenceOf } from '../../src/cli/drill-plan.ts';
import { type Ask, outageOf, startProbe } from '../../src/cli/drill-probe.ts';
import { drillText, problemsOf, type Seen } from '../../src/cli/drill-report.ts';
import { rowOf, statusReply } from './fake-control.ts';

const site: DrillSite = { node: 'gpu1', ollama: true, ownVote: true, managed: true, holdMs: 15_000 };
const healthy = statusReply({ asked: 'gpu1' });
const nodes = (...rows: Parameters<typeof rowOf>[]) => [
  rowOf('gpu1', { role: 'active', state: 'self' }),
  ...rows.map(([node, more]) => rowOf(node, more)),
];
const redis = (...up: boolean[]) => healthy.redis.map((row, i) => ({ ...row, up: up[i] ?? true }));

test.each<[string, DrillKind, Parameters<typeof statusReply>[0], Partial<DrillSite>, string | null]>([
  ['a healthy cluster', 'freeze', {}, {}, null],
  ['no heir alive', 'freeze', { nodes: nodes(['gpu2', { state: 'dead', role: 'gone' }]) }, {}, 'there is no healthy heir'],
  ['an heir with a veto', 'kill-agent', { nodes: nodes(['gpu2', { vetoes: ['models 3/5'] }]) }, {}, 'there is no healthy heir'],
  ['a pause', 'freeze', { mode: 'paused', pausedBy: 'ann' }, {}, 'the cluster is not in its normal mode but: paused (by ann)'],
  [
    'a node in maintenance',
    'freeze',
    { nodes: nodes(['gpu2', {}], ['gpu3', { tags: ['draining'] }]) },
    {},
    'gpu3 is in maintenance, or draining',
  ],
  ['two machines at the address', 'freeze', { splitBrain: true }, {}, 'two machines answer for the address'],
  ['nobody active', 'freeze', { holder: '' }, {}, 'no node is active'],
  ['a planned switchover', 'freeze', { planned: { to: '', atMs: 1n, by: '' } }, {}, 'a switchover is planned'],
  ['another agent', 'freeze', { asked: 'gpu2' }, {}, 'the agent that answers is gpu2, not gpu1'],
  [
    'a vote that is needed',
    'redis',
    { redis: redis(true, true, false) },
    {},
    'only 1 of 3 Redis servers would be left, which is no majority',
  ],
  [
    'a partition of a vote that is needed',
    'partition',
    { redis: redis(true, false, true) },
    {},
    'only 1 of 3 Redis servers would be left, which is no majority',
  ],
  ['a partition from servers elsewhere', 'partition', { redis: redis(true, false, true) }, { managed: false, ownVote: false }, null],
  ['no vote here', 'redis', {}, { ownVote: false }, 'this node runs no managed Redis server that votes'],
  ['no Ollama here', 'stop-ollama', {}, { ollama: false }, 'this node has no Ollama'],
  [
    'a holder that is not well',
    'freeze',
    { holder: 'gpu2', nodes: nodes(['gpu2', { vetoes: ['ollama down'] }]) },
    {},
    'the active node, gpu2, is not healthy itself',
  ],
])('%s: %s', (_name, kind, status, more, expected) => {
  expect(refusalsOf(kind, { ...site, ...more }, statusReply({ asked: 'gpu1', ...status }))).toEqual(expected === null ? [] : [expected]);
});

test('the sentence names the node, the longest time and the heir', () => {
  expect(sentenceOf('freeze', site, healthy)).toBe(
    'drill freeze would freeze the agent of gpu1 for at most 15 s: the active role, and with it the address, moves to another node, most likely gpu2; open requests break',
  );
  expect(sentenceOf('redis', site, healthy)).toMatch(/gpu1 stays active$/);
  expect(mustMove('freeze', 'gpu2', healthy)).toBe(false);
});

const asks = (text: string): Ask[] => [...text].map((mark, i) => ({ atMs: i * 10, ok: mark !== '-', own: mark === 'o' }));

test.each([
  ['oooo', 20, { outageMs: 0, recoveredMs: 0, failed: 0, asked: 2, gapMs: 10 }],
  ['oo---xx', 20, { outageMs: 30, recoveredMs: 30, failed: 3, asked: 5, gapMs: 10 }],
  // A single answer in between does not end it, and what failed before the fault is not its doing.
  ['-oo--o-xx', 20, { outageMs: 40, recoveredMs: 50, failed: 3, asked: 7, gapMs: 10 }],
  ['oo---', 20, null],
])('%s: an outage lasts from the first unanswered request to the first of lasting answers', (text, faultMs, expected) => {
  expect(outageOf(asks(text), faultMs)).toEqual(expected);
});

test('the prober knows when this host itself has answered, and counts what is refused', async () => {
  const server = createServer((_request, reply) => reply.end('{}')).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const probe = startProbe('127.0.0.1', (server.address() as AddressInfo).port);
  await expect.poll(() => probe.asks.some((ask) => ask.ok && ask.own)).toBe(true);
  server.close();
  server.closeAllConnections();
  await expect.poll(() => probe.asks.at(-1)?.ok).toBe(false);
  probe.stop();
});

const seen: Seen = {
  kind: 'freeze',
  node: 'gpu1',
  mustMove: true,
  before: { holder: 'gpu1', epoch: 10 },
  after: { holder: 'gpu2', epoch: 11 },
  address: '10.77.0.100',
  outage: { outageMs: 310, recoveredMs: 2100, failed: 31, asked: 400, gapMs: 24 },
  undoProblem: '',
  healedMs: 800,
  unhealed: '',
  splitBrain: false,
  timeline: [{ atMs: 0, what: 'the agent frozen (process 7)' }],
  history: [],
};

test.each<[Partial<Seen>, string]>([
  [{ after: { holder: 'gpu1', epoch: 10 } }, 'the role did not leave gpu1'],
  [{ after: { holder: 'gpu2', epoch: 10 } }, 'the epoch did not rise (10, then 10)'],
  [{ outage: null }, '10.77.0.100 did not answer again'],
  [{ undoProblem: 'nft: no' }, 'the failure could not be taken back: nft: no'],
  [{ healedMs: null, unhealed: 'gpu1 is dead' }, 'not everything came back: gpu1 is dead'],
  [{ splitBrain: true }, 'two machines answered for the address'],
  [
    { mustMove: false, outage: { outageMs: 0, recoveredMs: 0, failed: 0, asked: 9, gapMs: 10 } },
    'the role moved from gpu1 to gpu2, though it had no reason to',
  ],
])('%j is not passed', (change, problem) => {
  expect(problemsOf(seen)).toEqual([]);
  expect(problemsOf({ ...seen, ...change })).toEqual([problem]);
});

test('the report says who took over, how long the address was silent, and how the role comes back', () => {
  expect(drillText(seen)).toBe(`drill freeze on gpu1: passed
  the role moved from gpu1 to gpu2, epoch 10 to 11
  10.77.0.100 was silent for 310 ms, and answered for good 2.1 s after the fault (400 requests from this host, one each 10 ms, at most 24 ms apart)
  everything was as before 800 ms after the failure was taken back

       0 ms  the agent frozen (process 7)
Try: agentctl switchover --to gpu1 brings the role back
`);
});
