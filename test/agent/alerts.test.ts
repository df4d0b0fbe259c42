// Alerts of one agent: reports of failovers over restarts, and what operators see.
import { afterEach, expect, test } from 'vitest';
import { type Alerts, type AlertsOptions, startAlerts } from '../../src/agent/alerts.ts';
import type { AlertFacts, Notice } from '../../src/core/alerts/types.ts';

const running: Alerts[] = [];
afterEach(() => {
  for (const one of running.splice(0)) one.close();
});

const entry = { epoch: 500, from: 'gpu1', to: 'gpu2', cause: 'expired', reason: '', by: '', atMs: 9, phasesMs: { totalMs: 2000 } };
const facts: AlertFacts = {
  cluster: 'lab',
  asked: 'gpu2',
  holder: '',
  mode: 'normal',
  splitBrain: true,
  vip: '10.0.0.9',
  vipOwner: '',
  nodes: [],
  redis: [],
  pausedBy: '',
  reason: '',
  keepalivedDiffers: '',
  memoryUsed: null,
  responseMs: null,
  store: null,
};

function start(more: Partial<AlertsOptions> = {}) {
  const sent: Notice[] = [];
  const saved: unknown[] = [];
  let mono = 0;
  const alerts = startAlerts({
    cluster: 'lab',
    node: 'gpu2',
    facts: async () => facts,
    limits: { memoryMax: 0.8, responseMs: 1000, lagMs: 1, repeatMs: 0, off: [] },
    outbox: { send: (notice) => sent.push(notice), test: async () => [{ channel: 'ops', error: 'HTTP 500' }], view: () => [] },
    memory: { reportedEpoch: 250, alerts: [] },
    save: (memory) => saved.push(memory),
    history: [],
    clock: () => {
      mono += 1000;
      return { mono, boot: mono, wall: 1_000_000 + mono };
    },
    everyMs: 5,
    ...more,
  });
  running.push(alerts);
  return { alerts, sent, saved };
}

test('the new active reports its move, once; the others report nothing', () => {
  const { alerts, sent, saved } = start({ everyMs: 60_000 });
  alerts.history(entry);
  alerts.history(entry);
  alerts.history({ ...entry, epoch: 750, to: 'gpu3' });
  expect(sent.map((one) => one.key)).toEqual(['lab/failover/500']);
  expect(saved.at(-1)).toEqual({ reportedEpoch: 500, alerts: [] });
});

test('a process that was killed before it could report is made up for by the next, and a first start reports no past', () => {
  expect(start({ history: [{ ...entry, epoch: 250 }, entry], everyMs: 60_000 }).sent.map((one) => one.key)).toEqual(['lab/failover/500']);
  expect(start({ history: [entry], memory: null, everyMs: 60_000 }).sent).toEqual([]);
});

test('what holds is listed with its words, and kept for the next process once it is sent', async () => {
  const { alerts, sent, saved } = start({ facts: async () => ({ ...facts, nodes: [{ ...node, node: 'gpu2' }] }) });
  await expect.poll(() => sent.length).toBeGreaterThan(0);
  expect(sent[0]).toMatchObject({ k: 'alert', name: 'split_brain_suspected', state: 'firing', key: 'lab/split_brain_suspected/' });
  expect(alerts.view()).toMatchObject({ sender: 'gpu2' });
  expect(alerts.view().alerts[0]).toMatchObject({ state: 'firing', text: 'Split brain suspected: two machines answer for 10.0.0.9' });
  expect(JSON.stringify(saved.at(-1))).toContain('split_brain_suspected');
});

test('a test message names the channel that failed, and an unknown channel is refused', async () => {
  const { alerts } = start({ everyMs: 60_000 });
  const caller = { via: 'socket', name: '', signal: AbortSignal.timeout(1000) } as const;
  expect(await alerts.handlers.test({ channel: '', by: 'me' }, caller)).toEqual([{ channel: 'ops', ok: false, error: 'HTTP 500' }]);
  await expect(alerts.handlers.test({ channel: 'pager', by: 'me' }, caller)).rejects.toThrow('no channel pager');
});

const node = {
  node: 'gpu2',
  role: 'standby',
  assignedRole: 'standby',
  state: 'self',
  ollama: 'up',
  ollamaReason: '',
  fence: 'nft',
  bytesBehind: 0,
  backoffMs: 0,
  vetoes: [],
};
