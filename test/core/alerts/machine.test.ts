// Which alerts fire, who sends them, and when they are over.
import { expect, test } from 'vitest';
import { type AlertState, createAlerts, savedOf, senderOf, stepAlerts } from '../../../src/core/alerts/machine.ts';
import type { AlertFacts, AlertLimits, AlertNode, Notice } from '../../../src/core/alerts/types.ts';

const limits: AlertLimits = { memoryMax: 0.8, responseMs: 1000, lagMs: 900_000, repeatMs: 3_600_000, off: [] };
const node = (id: string, more: Partial<AlertNode> = {}): AlertNode => ({
  node: id,
  role: 'standby',
  assignedRole: 'standby',
  state: 'alive',
  ollama: 'up',
  ollamaReason: '',
  fence: 'nft',
  bytesBehind: 0,
  backoffMs: 0,
  vetoes: [],
  ...more,
});
const healthy: AlertFacts = {
  cluster: 'lab',
  asked: 'gpu1',
  holder: 'gpu1',
  mode: 'normal',
  splitBrain: false,
  vip: '10.77.0.100/24',
  vipOwner: 'gpu1',
  nodes: [node('gpu1', { role: 'active', assignedRole: 'active', state: 'self' }), node('gpu2'), node('gpu3')],
  redis: [{ server: 'gpu1', up: true, lastError: '' }],
  pausedBy: '',
  reason: '',
  keepalivedDiffers: '',
  memoryUsed: 0.5,
  responseMs: 20,
  store: { blocked: '', lost: '', corruptBlobs: 0 },
};
const dead = { ...healthy, nodes: [healthy.nodes[0] ?? node('gpu1'), node('gpu2', { state: 'dead', role: 'gone' }), node('gpu3')] };

function play(steps: readonly (readonly [number, AlertFacts])[], from: AlertState = createAlerts([], { mono: 0 }), use = limits) {
  let state = from;
  const told: string[] = [];
  for (const [second, facts] of steps) {
    const turn = stepAlerts(state, facts, use, { mono: 1000 * second, wall: 1_000_000 + 1000 * second });
    state = turn.state;
    for (const n of turn.notices) if (n.k === 'alert') told.push(`${second} ${n.name}/${n.subject} ${n.state}`);
  }
  return { state, told };
}

test('a healthy cluster has nothing to say', () => {
  expect(
    play([
      [0, healthy],
      [100, healthy],
    ]).told,
  ).toEqual([]);
});

test('a condition fires after its time, once, and is over after ten quiet seconds', () => {
  const { told } = play([
    [0, dead],
    [8, dead],
    [10, dead],
    [12, dead],
    [14, healthy],
    [20, healthy],
    [25, healthy],
    [30, healthy],
  ]);
  expect(told).toEqual(['10 agent_down/gpu2 firing', '25 agent_down/gpu2 resolved']);
});

test('a condition that goes before its time never fires; one that returns at once is still the same', () => {
  expect(
    play([
      [0, dead],
      [5, healthy],
      [16, healthy],
      [20, dead],
      [22, healthy],
    ]).told,
  ).toEqual([]);
  expect(
    play([
      [0, dead],
      [10, dead],
      [12, healthy],
      [14, dead],
      [40, dead],
    ]).told,
  ).toEqual(['10 agent_down/gpu2 firing']);
});

test('only the active sends what concerns the cluster; without one the living member with the lowest id does', () => {
  const asGpu3 = { ...dead, asked: 'gpu3' };
  expect(
    play([
      [0, asGpu3],
      [20, asGpu3],
    ]).told,
  ).toEqual([]);
  expect(senderOf(dead)).toBe('gpu1');
  expect(senderOf({ holder: '', nodes: [node('gpu3'), node('gpu2'), node('gpu1', { state: 'dead' })] })).toBe('gpu2');
  expect(senderOf({ holder: 'gpu1', nodes: [node('gpu1', { state: 'dead' }), node('gpu3', { state: 'self' })] })).toBe('gpu3');
});

test('each node sends what is about its own host', () => {
  const full = { ...healthy, asked: 'gpu3', memoryUsed: 0.93 };
  expect(
    play([
      [0, full],
      [300, full],
    ]).told,
  ).toEqual(['300 memory_high/gpu3 firing']);
});

test('who takes the sending over repeats what is young, and not what the node before has told', () => {
  const seen = (facts: AlertFacts) => ({ ...facts, asked: 'gpu3' });
  const mine = (facts: AlertFacts) => ({ ...facts, asked: 'gpu3', holder: 'gpu3', vipOwner: 'gpu3' });
  expect(
    play([
      [0, seen(dead)],
      [20, seen(dead)],
      [30, mine(dead)],
    ]).told,
  ).toContain('30 agent_down/gpu2 firing');
  const old = play([
    [0, seen(dead)],
    [20, seen(dead)],
    [120, mine(dead)],
    [130, mine(healthy)],
    [141, mine(healthy)],
  ]);
  expect(old.told.filter((line) => line.includes('agent_down'))).toEqual(['130 agent_down/gpu2 resolved']);
});

test('an alert that holds is told again after repeatMs, and a restart in between repeats nothing', () => {
  const first = play([
    [0, dead],
    [10, dead],
    [600, dead],
  ]);
  expect(first.told).toEqual(['10 agent_down/gpu2 firing']);
  const again = createAlerts(savedOf(first.state), { mono: 700_000 });
  expect(
    play(
      [
        [700, dead],
        [3000, dead],
        [3611, dead],
      ],
      again,
    ).told,
  ).toEqual(['3611 agent_down/gpu2 firing']);
});

test('an alert that is switched off is observed and not sent', () => {
  const { told, state } = play(
    [
      [0, dead],
      [20, dead],
    ],
    undefined,
    { ...limits, off: ['agent_down'] },
  );
  expect(told).toEqual([]);
  expect([...state.active.values()].map((one) => [one.name, one.firing])).toEqual([['agent_down', true]]);
});

test('each condition of the table can be found', () => {
  const broken: AlertFacts = {
    ...healthy,
    holder: 'gpu1',
    splitBrain: true,
    vipOwner: 'gpu2',
    nodes: [
      node('gpu1', { role: 'active', state: 'self', ollama: 'down', fence: 'none' }),
      node('gpu2', { ollama: 'degraded', bytesBehind: 5e6, backoffMs: 9000, vetoes: ['models 3/5'] }),
      node('gpu3', { state: 'dead', role: 'gone' }),
    ],
    redis: [{ server: 'gpu3', up: false, lastError: 'refused' }],
    keepalivedDiffers: 'MASTER here',
    memoryUsed: 0.9,
    responseMs: 1500,
    store: { blocked: 'epoch', lost: 'the active lost 9 of 10 models', corruptBlobs: 1 },
  };
  const worlds = [
    broken,
    { ...healthy, holder: '' },
    ...['no-redis', 'failsafe', 'degraded', 'paused'].map((mode) => ({ ...healthy, mode })),
  ];
  const fired = new Set<string>();
  for (const world of worlds) {
    const notices: Notice[] = [];
    let state = createAlerts([], { mono: 0 });
    for (const mono of [0, 4_000_000]) {
      const turn = stepAlerts(state, world, limits, { mono, wall: mono });
      state = turn.state;
      notices.push(...turn.notices);
    }
    for (const n of notices) if (n.k === 'alert') fired.add(n.name);
  }
  expect([...fired].sort()).toEqual(names);
});

const names = [
  'agent_down',
  'failsafe',
  'fence_missing',
  'flapping',
  'keepalived_differs',
  'memory_high',
  'models_lost',
  'no_better_node',
  'no_leader',
  'no_redis',
  'no_standby',
  'ollama_degraded',
  'ollama_down',
  'paused',
  'redis_down',
  'replication_blocked',
  'replication_lag',
  'response_slow',
  'scrub_corrupt',
  'split_brain_suspected',
  'vip_elsewhere',
];
