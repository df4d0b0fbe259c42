// Orders to the cluster: what the agent is told, what the operator reads, and the exit code.
import { afterEach, describe, expect, test } from 'vitest';
import { durationMs, momentMs } from '../../src/cli/moment.ts';
import type { CommandReply } from '../../src/gen/control.ts';
import { type Answers, type FakeControl, startFakeControl, statusReply } from './fake-control.ts';
import { agentctl } from './run.ts';

let fake: FakeControl | undefined;

afterEach(() => {
  fake?.stop();
  fake = undefined;
});

async function run(argv: readonly string[], answers: Partial<Answers> = {}) {
  fake = await startFakeControl(answers);
  return await agentctl([...argv, '--socket', fake.socket], { env: { USER: 'ann' } });
}

const told = () => fake?.orders.at(-1);
const reply = (outcome: string, vetoes: readonly string[] = []): CommandReply => ({
  outcome,
  text: 'because',
  vetoes,
  epoch: 0n,
  phasesMs: {},
});

describe('what the agent is told', () => {
  test.each([
    [['pause'], ['pause', { paused: true, by: 'ann', wait: false }]],
    [
      ['pause', '--wait'],
      ['pause', { paused: true, by: 'ann', wait: true }],
    ],
    [
      ['resume', '--wait'],
      ['pause', { paused: false, by: 'ann', wait: true }],
    ],
    [
      ['maintenance', 'on'],
      ['maintenance', { node: '', on: true, by: 'ann', wait: false, drain: false, drainMs: 0n }],
    ],
    [
      ['maintenance', 'off', 'gpu2', '--wait'],
      ['maintenance', { node: 'gpu2', on: false, by: 'ann', wait: true, drain: false, drainMs: 0n }],
    ],
    [['drain'], ['maintenance', { node: '', on: true, by: 'ann', wait: false, drain: true, drainMs: 60_000n }]],
    [
      ['drain', 'gpu1', '--deadline', '5m'],
      ['maintenance', { node: 'gpu1', on: true, by: 'ann', wait: false, drain: true, drainMs: 300_000n }],
    ],
    [
      ['undrain', 'gpu1'],
      ['maintenance', { node: 'gpu1', on: false, by: 'ann', wait: false, drain: false, drainMs: 0n }],
    ],
    [
      ['failover', '--force', '--to', 'gpu2'],
      ['failover', { to: 'gpu2', by: 'ann' }],
    ],
    [['leave'], ['leave', { by: 'ann' }]],
    [
      ['forget', 'gpu4'],
      ['forget', { node: 'gpu4', by: 'ann' }],
    ],
    [
      ['switchover', '--cancel'],
      ['switchover', { to: '', by: 'ann', dryRun: false, atMs: 0n, cancel: true }],
    ],
    [
      ['switchover', '--to', 'gpu2', '--at', '2100-01-01T00:00Z'],
      ['switchover', { to: 'gpu2', by: 'ann', dryRun: false, atMs: BigInt(Date.UTC(2100, 0, 1)), cancel: false }],
    ],
  ])('%j', async (argv, order) => {
    expect((await run(argv)).code).toBe(0);
    expect(told()).toEqual(order);
  });

  test('--at +10m is ten minutes from now', async () => {
    const before = Date.now();
    expect((await run(['switchover', '--at', '+10m'])).code).toBe(0);
    const { atMs } = fake?.switchovers.at(-1) ?? { atMs: 0n };
    expect(Number(atMs)).toBeGreaterThanOrEqual(before + 600_000);
    expect(Number(atMs)).toBeLessThanOrEqual(Date.now() + 600_000);
  });
});

describe('exit codes', () => {
  test.each([
    ['pause', [], 'incomplete', 1],
    ['maintenance', ['on'], 'refused', 1],
    ['drain', [], 'incomplete', 1],
    ['failover', ['--force'], 'refused', 1],
    ['failover', ['--force'], 'nothing', 2],
    ['failover', ['--force'], 'incomplete', 5],
    ['leave', [], 'nothing', 2],
    ['forget', ['gpu4'], 'refused', 1],
    ['forget', ['gpu4'], 'unknown', 6],
  ] as const)('%s %j that is %s ends with %i', async (name, args, outcome, code) => {
    const call = name === 'drain' ? 'maintenance' : name;
    const ran = await run([name, ...args], { [call]: reply(outcome, ['gpu4: alive']) });
    expect(ran.code).toBe(code);
    expect(ran.out).toMatch(new RegExp(`^${outcome}: because\n  gpu4: alive\nTry: `));
  });

  test('an order without an answer has an unknown result', async () => {
    const ran = await run(['pause', '--timeout', '0.2'], { pause: 'hang' });
    expect(ran.code).toBe(6);
    expect(ran.err).toContain('the result is unknown (no answer within 0.2 s)');
  });

  test.each([
    [['failover'], 'failover needs --force'],
    [['switchover', '--cancel', '--to', 'gpu1'], '--cancel stands alone'],
    [['switchover', '--at', '+1m', '--dry-run'], '--at and --dry-run do not go together'],
    [['switchover', '--at', 'tomorrow'], 'It must be a time such as +10m'],
    [['drain', '--deadline', 'soon'], 'It must be a time such as 30s'],
    [['maintenance', 'maybe'], 'Allowed choices are on, off'],
  ])('%j is a wrong command line', async (argv, text) => {
    const ran = await agentctl(argv);
    expect(ran.code).toBe(64);
    expect(ran.err).toContain(text);
  });
});

test('leaving names what is left to do, in JSON the plain result', async () => {
  expect((await run(['leave'])).out).toBe(
    'done: gpu1 has left the cluster\nTry: systemctl disable --now ollama-ha-agent: a started agent joins again\n',
  );
  fake?.stop();
  expect(JSON.parse((await run(['leave', '--json'])).out)).toMatchObject({ outcome: 'done', vetoes: [] });
});

describe('redis status', () => {
  const server = (name: string, up: boolean) => ({
    server: name,
    runId: up ? 'abcdef0123456789'.padEnd(40, '0') : '',
    up,
    latencyMs: 0.4,
    lastError: up ? '' : 'ECONNREFUSED',
    lastReplyAgeMs: up ? 90n : -1n,
    latencyP50Ms: up ? 0.3 : 0,
    latencyP99Ms: up ? 12 : 0,
  });

  test('shows run_id, percentiles and the last error, and ends with 0 while a majority answers', async () => {
    const ran = await run(['redis', 'status'], {
      status: statusReply({ redis: [server('gpu1', true), server('gpu2', true), server('gpu3', false)] }),
    });
    expect(ran.code).toBe(0);
    await expect(ran.out).toMatchFileSnapshot('snapshots/redis-status.txt');
  });

  test('ends with 1 without a majority', async () => {
    const ran = await run(['redis', 'status', '--json'], {
      status: statusReply({ redis: [server('gpu1', true), server('gpu2', false), server('gpu3', false)] }),
    });
    expect(ran.code).toBe(1);
    expect(JSON.parse(ran.out)).toMatchObject({ up: 1, majority: 2, servers: [{ latencyP99Ms: 12 }, { lastError: 'ECONNREFUSED' }, {}] });
  });
});

test('the header of status shows who paused and what is planned', async () => {
  const planned = { to: 'gpu2', atMs: BigInt(Date.UTC(2100, 0, 1)), by: 'bob' };
  const ran = await run(['status'], { status: statusReply({ mode: 'paused', pausedBy: 'ann', planned }) });
  expect(ran.code).toBe(1);
  expect(ran.out).toContain('mode paused by ann');
  expect(ran.out).toContain('switchover to gpu2 at 2100-01-01 00:00:00Z by bob');
});

test('durations and moments are read strictly', () => {
  expect([durationMs('90'), durationMs('30s'), durationMs('1h30m'), durationMs('250ms')]).toEqual([90_000, 30_000, 5_400_000, 250]);
  expect(momentMs('+1h', 1000)).toBe(3_601_000);
  expect(momentMs('2026-12-01 22:00Z', 0)).toBe(Date.UTC(2026, 11, 1, 22));
  expect(momentMs('2026-12-01T22:00:30+02:00', 0)).toBe(Date.UTC(2026, 11, 1, 20, 0, 30));
  for (const bad of ['', 's', '5x', '5m3', '-5s', '1.5h']) expect(() => durationMs(bad), bad).toThrow();
  for (const bad of ['', '+', '2026-12-01', '22:00', '2026-13-01T00:00Z', 'now']) expect(() => momentMs(bad, 0), bad).toThrow();
});
