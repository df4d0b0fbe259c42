// agentctl alerts and agentctl log, against a control service that answers what the test tells it.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeControl, startFakeControl } from './fake-control.ts';
import { agentctl } from './run.ts';

let fake: FakeControl;
beforeEach(async () => {
  fake = await startFakeControl();
});
afterEach(() => fake.stop());

const run = (...argv: string[]) => agentctl([...argv, '--socket', fake.socket]);

test('alerts list shows what fires and how far each channel came, and ends 1', async () => {
  fake.answers.alerts = {
    asked: 'gpu2',
    sender: 'gpu1',
    alerts: [
      {
        name: 'redis_down',
        subject: 'gpu3',
        severity: 'warning',
        state: 'firing',
        sinceMs: 1_795_000_000_000n,
        text: 'The lease server gpu3 does not answer',
      },
    ],
    channels: [{ name: 'ops', kind: 'slack', queued: 2, delivered: 7n, dropped: 0n, lastOkAtMs: 0n, lastError: 'HTTP 500' }],
  };
  const { out, code } = await run('alerts', 'list');
  expect(code).toBe(1);
  expect(out).toContain('asked gpu2; gpu1 sends what concerns the cluster');
  expect(out).toMatch(/redis_down\s+gpu3\s+warning\s+firing/);
  expect(out).toMatch(/ops\s+slack\s+2\s+7\s+0\s+-\s+HTTP 500/);
});

test('without an alert it ends 0, also as JSON', async () => {
  const { out, code } = await run('alerts', 'list', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual({ asked: 'gpu2', sender: 'gpu1', alerts: [], channels: [] });
});

test('a test message says what each channel answered, and ends 1 when one failed', async () => {
  fake.answers.testAlert = {
    results: [
      { channel: 'ops', ok: true, error: '' },
      { channel: 'chat', ok: false, error: 'ECONNREFUSED' },
    ],
  };
  const { out, code } = await run('alerts', 'test');
  expect(out).toBe('ops: sent\nchat: failed: ECONNREFUSED\n');
  expect(code).toBe(1);
  fake.answers.testAlert = { results: [] };
  expect(await run('alerts', 'test', '--channel', 'ops')).toMatchObject({
    code: 1,
    err: expect.stringContaining('no channel is configured'),
  });
  expect(fake.orders.at(-1)).toMatchObject(['testAlert', { channel: 'ops' }]);
});

test('the log level and its time reach the agent; a level that does not exist does not', async () => {
  expect((await run('log', 'level', 'debug', '--for', '10m')).code).toBe(0);
  expect(fake.orders.at(-1)).toMatchObject(['logLevel', { level: 'debug', forMs: 600_000n }]);
  await run('log', 'level', 'default');
  expect(fake.orders.at(-1)).toMatchObject(['logLevel', { level: '', forMs: 0n }]);
  expect((await run('log', 'level', 'loud')).code).toBe(64);
});
