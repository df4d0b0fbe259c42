// What an operator sees of a cluster, and what a script reads from the exit code.
import { afterEach, expect, test } from 'vitest';
import type { StatusReply } from '../../src/gen/control.ts';
import { type FakeControl, failing, rowOf, startFakeControl, statusReply } from './fake-control.ts';
import { agentctl } from './run.ts';

let fake: FakeControl | undefined;

afterEach(() => {
  fake?.stop();
  fake = undefined;
});

async function statusOf(reply: Partial<StatusReply>, argv: readonly string[] = [], options = {}) {
  fake = await startFakeControl({ status: statusReply(reply) });
  return await agentctl(['status', '--socket', fake.socket, ...argv], options);
}

const active = rowOf('gpu1', { role: 'active', assignedRole: 'active', vip: 'present', seenMs: 80n });
const troubled: Partial<StatusReply> = {
  mode: 'failsafe',
  reason: 'no Redis answers; every member acknowledged the last round',
  redis: [
    {
      server: 'gpu1',
      runId: '',
      up: false,
      latencyMs: 0,
      lastError: 'ECONNREFUSED',
      lastReplyAgeMs: 12_000n,
      latencyP50Ms: 0,
      latencyP99Ms: 0,
    },
    {
      server: 'gpu2',
      runId: 'b'.repeat(40),
      up: true,
      latencyMs: 0.42,
      lastError: '',
      lastReplyAgeMs: 20n,
      latencyP50Ms: 0.42,
      latencyP99Ms: 0.42,
    },
    { server: 'gpu3', runId: '', up: false, latencyMs: 0, lastError: 'timeout', lastReplyAgeMs: 9000n, latencyP50Ms: 0, latencyP99Ms: 0 },
  ],
  warnings: [
    'redis gpu1: maxmemory-policy is allkeys-lru; a server that evicts keys can lose the lease record, set noeviction on every server',
  ],
  nodes: [
    active,
    rowOf('gpu2', { seenMs: 0n }),
    rowOf('gpu3', { modelsComplete: 3, bytesBehind: 31_000_000_000n, hot: 0, vetoes: ['models 3/5', 'rank 1'], ollama: 'degraded' }),
    rowOf('gpu4', { role: 'gone', state: 'dead', epoch: 1795521600250n, seenMs: 190_000n, vip: '', hot: 0, hotWanted: 0 }),
  ],
};

test('a healthy cluster is a table of at most 100 columns and exit code 0', async () => {
  const ran = await statusOf({});
  expect(ran.code).toBe(0);
  expect(Math.max(...ran.out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  await expect(ran.out).toMatchFileSnapshot('snapshots/status-healthy.txt');
});

test('a degraded cluster says why, keeps its gone node, and ends with 1', async () => {
  const ran = await statusOf(troubled);
  expect(ran.code).toBe(1);
  expect(Math.max(...ran.out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  await expect(ran.out).toMatchFileSnapshot('snapshots/status-degraded.txt');
});

test('a cluster without holder ends with 2', async () => {
  const ran = await statusOf({
    holder: '',
    epoch: 0n,
    vipOwner: '',
    vipOwnerMac: '',
    reason: 'the lease is vacant; ripe in 1200 ms',
    nodes: [rowOf('gpu1', { epoch: 0n }), rowOf('gpu2', { epoch: 0n })],
  });
  expect(ran.code).toBe(2);
  await expect(ran.out).toMatchFileSnapshot('snapshots/status-no-holder.txt');
});

test('two active nodes are a suspected split brain and end with 3', async () => {
  const ran = await statusOf({
    nodes: [active, rowOf('gpu2', { seenMs: 0n }), rowOf('gpu3', { role: 'active', vip: 'present' })],
    splitBrain: true,
  });
  expect(ran.code).toBe(3);
  await expect(ran.out).toMatchFileSnapshot('snapshots/status-split-brain.txt');
});

test.each([
  ['an address at another node than the holder is 3', { vipOwner: 'gpu3' }, 3],
  ['an old sighting of the address proves no split brain, but is no health either', { vipOwner: 'gpu3', vipOwnerAgeMs: 4000n }, 1],
  [
    'a dead node that was active is no second active',
    { nodes: [active, rowOf('gpu2'), rowOf('gpu3', { role: 'active', state: 'dead' })] },
    0,
  ],
  ['no standby without a veto is 1', { nodes: [active, rowOf('gpu2', { vetoes: ['nofailover'] })] }, 1],
  ['a cluster without an address needs no sighting of it', { vip: '', vipOwner: '', vipOwnerMac: '' }, 0],
  ['a pause is 1', { mode: 'paused' }, 1],
  ['split brain outranks a missing holder', { holder: '', splitBrain: true }, 3],
] as const)('%s', async (_name, reply, code) => {
  expect((await statusOf(reply)).code).toBe(code);
});

test('nothing of the table is missing from --json, and its exit code is the same', async () => {
  const ran = await statusOf(troubled, ['--json']);
  const shown = JSON.parse(ran.out);
  expect(ran.code).toBe(1);
  expect(shown).toMatchObject({ cluster: 'lab', holder: 'gpu1', epoch: 1795521600251, state: 'degraded', exitCode: 1, leaseLeftMs: 1690 });
  expect(shown.nodes[2]).toMatchObject({ node: 'gpu3', bytesBehind: 31e9, vetoes: ['models 3/5', 'rank 1'], seenMs: 95 });
  expect(shown.stateReasons).toEqual(['mode failsafe']);
});

test('colours appear on a terminal only, and not with --no-color or NO_COLOR', async () => {
  const coloured = await statusOf(troubled, [], { isTty: true });
  const socket = fake?.socket ?? '';
  const plain = await agentctl(['status', '--socket', socket]);
  expect(coloured.out).toContain('\x1b[');
  expect(plain.out).not.toContain('\x1b[');
  for (const argv of [
    ['--no-color', 'status'],
    ['status', '--no-color'],
  ]) {
    expect((await agentctl([...argv, '--socket', socket], { isTty: true })).out).toBe(plain.out);
  }
  expect((await agentctl(['status', '--socket', socket], { isTty: true, env: { NO_COLOR: '1' } })).out).toBe(plain.out);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours are what is taken away
  expect(coloured.out.replace(/\x1b\[\d+m/g, '')).toBe(plain.out);
});

test('what an agent reports cannot steer the terminal', async () => {
  const ran = await statusOf({ warnings: ['\x1b[2Jgone\nfake line'], nodes: [active, rowOf('gpu2', { vetoes: ['\x1b]0;title\x07'] })] });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is the point
  expect(ran.out).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
});

test('long names and vetoes are cut, not wrapped', async () => {
  const long = 'a-very-long-node-name-of-a-rack-somewhere-7';
  const ran = await statusOf({ nodes: [active, rowOf(long, { address: `${long}.example.org`, vetoes: ['x'.repeat(200)] })] });
  const lines = ran.out.split('\n').filter((line) => line.includes('a-very'));
  expect(lines).toHaveLength(1);
  expect(lines[0]?.length).toBeLessThanOrEqual(100);
});

test('global options work before and after the command', async () => {
  fake = await startFakeControl();
  expect((await agentctl(['--socket', fake.socket, 'status'])).code).toBe(0);
  expect((await agentctl(['status', `--socket=${fake.socket}`])).code).toBe(0);
});

test('an agent that does not run is one line, a hint, and 4', async () => {
  const ran = await agentctl(['status', '--socket', '/nonexistent/agent.sock']);
  expect(ran).toEqual({
    code: 4,
    out: '',
    err: 'agentctl: cannot reach the agent (no such socket): /nonexistent/agent.sock\nTry: systemctl status ollama-ha-agent; if it runs with another configuration, name it with --config, or its socket with --socket\n',
  });
});

test('with --json an error is JSON on standard output and still not 0', async () => {
  const ran = await agentctl(['status', '--json', '--socket', '/nonexistent/agent.sock']);
  expect(ran.code).toBe(4);
  expect(ran.err).toBe('');
  expect(JSON.parse(ran.out).error).toMatchObject({ code: 'unreachable', where: '/nonexistent/agent.sock', exitCode: 4 });
});

test('an agent that never answers is given up after --timeout', async () => {
  fake = await startFakeControl({ status: 'hang' });
  const ran = await agentctl(['status', '--timeout', '0.2', '--socket', fake.socket]);
  expect(ran.code).toBe(4);
  expect(ran.err).toContain('no answer within 0.2 s');
});

test('a refusal of the agent is told with its words', async () => {
  fake = await startFakeControl({ status: failing('PERMISSION_DENIED', 'node certificates only') });
  const ran = await agentctl(['status', '--socket', fake.socket]);
  expect(ran.code).toBe(4);
  expect(ran.err).toContain('the agent refused: node certificates only');
});

test('an error is never taken for a state of the cluster: it is 4', async () => {
  fake = await startFakeControl({ status: failing('FAILED_PRECONDITION', 'starting') });
  expect((await agentctl(['status', '--socket', fake.socket])).code).toBe(4);
  expect((await agentctl(['status', '--host', 'gpu1', '--config', '/nonexistent.yaml'])).code).toBe(4);
});

test('--watch repeats until it is stopped, survives an agent that goes away, and ends with the last state', async () => {
  fake = await startFakeControl();
  const stop = new AbortController();
  let shown = 0;
  const ran = await agentctl(['status', '--watch', '0.02', '--json', '--socket', fake.socket], {
    signal: stop.signal,
    onOut: () => {
      shown++;
      if (shown === 2) fake?.stop();
      if (shown === 3) stop.abort();
    },
  });
  const lines = ran.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines).toHaveLength(3);
  expect(lines[1].state).toBe('healthy');
  expect(lines[2].error.code).toBe('unreachable');
  expect(ran.code).toBe(4);
});

test('the socket is found through paths.run of --config', async () => {
  fake = await startFakeControl();
  const { writeFileSync } = await import('node:fs');
  const directory = fake.socket.replace('/agent.sock', '');
  const config = `${directory}/agent.yaml`;
  writeFileSync(config, `paths: { run: ${directory} }\n`);
  expect((await agentctl(['status', '--config', config])).code).toBe(0);
  expect((await agentctl(['status'], { env: { OLLAMA_HA_PATHS__RUN: directory } })).code).toBe(0);
});
