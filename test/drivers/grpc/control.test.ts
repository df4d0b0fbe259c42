import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { type ChannelCredentials, credentials, loadPackageDefinition, Metadata, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ControlCaller, ControlError, type ControlHandlers, type StatusView } from '../../../src/agent/control.ts';
import { type CommandReply, ControlClient, type StatusReply } from '../../../src/gen/control.ts';
import { startAgent, type TestAgent } from './agents.ts';
import { createPki, type Pki } from './pki.ts';

const STATUS: StatusView = {
  cluster: 'lab',
  asked: 'm',
  viewAgeMs: 3,
  epoch: 250,
  holder: 'm',
  leaseAgeMs: 100,
  leaseLeftMs: -1,
  preset: 'standard',
  ttlMs: 3_000,
  renewMs: 500,
  pollMs: 100,
  lockDelayMs: 0,
  lockDelayWhy: '',
  vip: '10.0.0.1/24',
  vipOwner: '',
  vipOwnerMac: '',
  vipOwnerAgeMs: Number.POSITIVE_INFINITY,
  mode: 'normal',
  reason: 'holding',
  nodes: [
    {
      node: 'm',
      address: '127.0.0.1:1',
      role: 'active',
      assignedRole: 'active',
      state: 'self',
      ollama: 'up',
      ollamaReason: '',
      ollamaAgeMs: 1.4,
      epoch: 250,
      vip: 'present',
      fence: 'nft',
      seenMs: 0,
      modelsComplete: 1,
      modelsTotal: 1,
      bytesBehind: 0,
      hot: 0,
      hotWanted: 0,
      tags: [],
      vetoes: [],
      rank: 0,
      rttMs: 0.5,
      version: '0',
      ollamaVersion: '0',
      backoffMs: 0,
      ollamaKind: 'healthy',
      loaded: ['m (context 4096)'],
    },
  ],
  warnings: ['one'],
  redis: [{ server: 's', runId: 'r', up: true, latencyMs: 0.4, lastError: '', lastReplyAgeMs: 20, latencyP50Ms: 0.3, latencyP99Ms: 2 }],
  splitBrain: false,
  version: '0.1.0',
  pausedBy: '',
  planned: { to: 'b', atMs: 1_800_000_000_000, by: 'me' },
  roster: ['b', 'm'],
  rosterVersion: 3,
  settingsVersion: 2,
  keepalived: { state: 'MASTER', running: true, priority: 3, sinceMs: 40, differs: '' },
  loopLateP99Ms: 0.5,
  health: [{ level: 'http', state: 'ok', text: '1 ms', ageMs: 20 }],
  hotMissing: ['m: it does not fit'],
  wallMs: 1_795_548_765_000,
};

let pki: Pki;
let dir: string;
let socketPath: string;
let agent: TestAgent;
const callers: ControlCaller[] = [];

/** An outcome that repeats what was asked. */
const echo = (request: object) => ({ outcome: 'done' as const, text: JSON.stringify(request), vetoes: [], epoch: 1, phasesMs: {} });

const handlers: ControlHandlers = {
  async status(caller) {
    callers.push(caller);
    return STATUS;
  },
  async explain({ node }) {
    if (node !== 'm') throw new ControlError('not_found', `no node ${node}`, 'agentctl status lists them');
    return { node, mayTakeOver: false, vetoes: [{ code: 'young', text: 'just started' }], facts: ['one'] };
  },
  async history({ limit }) {
    const entry = { epoch: 2, from: '', to: 'm', cause: 'first', reason: '', by: '', atMs: 5, phasesMs: { claim: 1.5 } };
    return Array.from({ length: limit }, () => entry);
  },
  async models() {
    throw new Error('secret internals');
  },
  async switchover(request, caller) {
    if (request.to === 'hang') await new Promise((resolve) => caller.signal.addEventListener('abort', resolve));
    return { outcome: 'done', text: `${request.by}->${request.to}`, vetoes: [], epoch: 251, phasesMs: { total: 800 } };
  },
  pause: async (request) => echo(request),
  maintenance: async (request) => echo(request),
  failover: async (request) => echo(request),
  leave: async (request) => echo(request),
  forget: async (request) => echo(request),
};

beforeAll(async () => {
  pki = await createPki();
  dir = await mkdtemp(joinPath(tmpdir(), 'ollama-ha-sock-'));
  socketPath = joinPath(dir, 'agent.sock');
  agent = await startAgent(pki, 'm', { control: handlers, socketPath });
});
afterAll(async () => {
  await agent.peers.close();
  await pki.remove();
  await rm(dir, { recursive: true, force: true });
});

async function withClient<T>(to: string, creds: ChannelCredentials, use: (client: ControlClient) => Promise<T>): Promise<T> {
  const secure = !to.startsWith('unix:');
  const client = new ControlClient(
    to,
    creds,
    secure ? { 'grpc.ssl_target_name_override': 'm.lab.ollama-ha', 'grpc.use_local_subchannel_pool': 1 } : {},
  );
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

function answer<T>(call: (done: (error: ServiceError | null, reply: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, reply) => (error === null ? resolve(reply) : reject(error))));
}

async function certified(name: string): Promise<ChannelCredentials> {
  const files = await pki.issue(name);
  const [ca, key, cert] = await Promise.all([readFile(files.ca), readFile(files.key), readFile(files.cert)]);
  return credentials.createSsl(ca, key, cert);
}

const overSocket = <T>(use: (client: ControlClient) => Promise<T>) => withClient(`unix:${socketPath}`, credentials.createInsecure(), use);
const statusOf = (client: ControlClient) => answer<StatusReply>((done) => client.status({}, done));

describe('control', () => {
  test('is understood by a client that knows nothing but the .proto file', async () => {
    const definition = loadSync(joinPath(import.meta.dirname, '../../../proto/control.proto'), { longs: Number, defaults: true });
    const { ollama_ha } = loadPackageDefinition(definition) as unknown as {
      ollama_ha: { v1: { Control: new (to: string, creds: ChannelCredentials) => ControlClient } };
    };
    const client = new ollama_ha.v1.Control(`unix:${socketPath}`, credentials.createInsecure());
    try {
      const reply = await answer<StatusReply>((done) => client.status({}, done));
      expect(reply).toMatchObject({ cluster: 'lab', holder: 'm', epoch: 250, nodes: [{ node: 'm', role: 'active' }] });
    } finally {
      client.close();
    }
  });

  test('goes round over the unix socket, which the group may open and others may not', async () => {
    const reply = await overSocket(statusOf);
    expect(reply).toMatchObject({
      cluster: 'lab',
      epoch: 250n,
      leaseLeftMs: -1n,
      vipOwnerAgeMs: -1n,
      planned: { to: 'b', atMs: 1_800_000_000_000n, by: 'me' },
      roster: ['b', 'm'],
      nodes: [{ node: 'm', ollamaAgeMs: 1n, rttMs: 0.5 }],
    });
    expect((await stat(socketPath)).mode & 0o777).toBe(0o660);
    expect(callers.at(-1)).toMatchObject({ via: 'socket', name: '' });
    const outcome = await overSocket((client) =>
      answer((done) => client.switchover({ to: 'b', by: 'me', dryRun: true, atMs: 0n, cancel: false }, done)),
    );
    expect(outcome).toMatchObject({ outcome: 'done', text: 'me->b', epoch: 251n, phasesMs: { total: 800 } });
    const history = await overSocket((client) =>
      answer<{ entries: readonly unknown[] }>((done) => client.history({ limit: 4_000_000 }, done)),
    );
    expect(history.entries).toHaveLength(1_000);
  });

  test('carries every order with its fields, and refuses what is no node, no name, no time', async () => {
    const orders = await overSocket((client) =>
      Promise.all([
        answer<CommandReply>((done) => client.pause({ paused: true, by: 'me', wait: true }, done)),
        answer<CommandReply>((done) =>
          client.maintenance({ node: 'b', on: true, by: 'me', wait: false, drain: true, drainMs: 30_000n }, done),
        ),
        answer<CommandReply>((done) => client.maintenance({ node: '', on: false, by: '', wait: true, drain: false, drainMs: 0n }, done)),
        answer<CommandReply>((done) => client.failover({ to: 'b', by: 'me' }, done)),
        answer<CommandReply>((done) => client.leave({ by: 'me' }, done)),
        answer<CommandReply>((done) => client.forget({ node: 'b', by: 'me' }, done)),
      ]),
    );
    expect(orders.map((reply) => JSON.parse(reply.text))).toEqual([
      { paused: true, by: 'me', wait: true },
      { node: 'b', on: true, by: 'me', wait: false, drainMs: 30_000 },
      { node: '', on: false, by: '', wait: true, drainMs: null },
      { to: 'b', by: 'me' },
      { by: 'me' },
      { node: 'b', by: 'me' },
    ]);
    const bad = (call: (client: ControlClient, done: (error: ServiceError | null) => void) => void) =>
      overSocket((client) => answer((done) => call(client, (error) => done(error, null))));
    await expect(bad((client, done) => client.forget({ node: '', by: '' }, done))).rejects.toMatchObject({ code: 3 });
    await expect(bad((client, done) => client.failover({ to: 'No Node', by: '' }, done))).rejects.toMatchObject({ code: 3 });
    await expect(bad((client, done) => client.leave({ by: 'x'.repeat(129) }, done))).rejects.toMatchObject({ code: 3 });
    const late = { to: '', by: '', dryRun: false, atMs: 2n ** 60n, cancel: false };
    await expect(bad((client, done) => client.switchover(late, done))).rejects.toMatchObject({ code: 3 });
  });

  test('takes operator and node certificates on the peer port, and nobody else', async () => {
    await withClient(agent.address, await certified('alice.operator.lab.ollama-ha'), statusOf);
    expect(callers.at(-1)).toMatchObject({ via: 'operator', name: 'alice' });
    await withClient(agent.address, await certified('b.lab.ollama-ha'), statusOf);
    expect(callers.at(-1)).toMatchObject({ via: 'node', name: 'b' });
    const before = callers.length;
    await expect(withClient(agent.address, await certified('alice.operator.other.ollama-ha'), statusOf)).rejects.toMatchObject({ code: 7 });
    expect(callers.length).toBe(before);
  });

  test("gives an operator's error with its hint, and of a bug nothing but that it is one", async () => {
    const explain = (node: string) => overSocket((client) => answer((done) => client.explain({ node }, done)));
    await expect(explain('q')).rejects.toMatchObject({ code: 5, details: 'no node q; try: agentctl status lists them' });
    await expect(explain('Not A Node')).rejects.toMatchObject({ code: 3 });
    expect(await explain('m')).toMatchObject({ vetoes: [{ code: 'young' }] });
    const models = overSocket((client) => answer((done) => client.models({}, done)));
    await expect(models).rejects.toMatchObject({ code: 13, details: expect.not.stringContaining('secret') });
  });

  test('tells the handler when the caller gives up', async () => {
    const hang = overSocket((client) =>
      answer((done) =>
        client.switchover(
          { to: 'hang', by: '', dryRun: false, atMs: 0n, cancel: false },
          new Metadata(),
          { deadline: Date.now() + 100 },
          done,
        ),
      ),
    );
    await expect(hang).rejects.toMatchObject({ code: 4 });
  });

  test('replaces a leftover socket, and leaves a live one and a plain file alone', async () => {
    await expect(startAgent(pki, 'n', { control: handlers, socketPath })).rejects.toThrow(
      `already-running: another agent answers on ${socketPath}`,
    );
    const plain = joinPath(dir, 'plain');
    await writeFile(plain, 'mine');
    await expect(startAgent(pki, 'n', { control: handlers, socketPath: plain })).rejects.toThrow('socket-path');
    expect(await readFile(plain, 'utf8')).toBe('mine');
    const stale = joinPath(dir, 'stale.sock');
    const maker = createServer();
    await new Promise<void>((resolve) => maker.listen(stale, resolve));
    // A hard link outlives the listener, which removes its own name on closing: what is left is a socket nobody answers on.
    const { link } = await import('node:fs/promises');
    const left = joinPath(dir, 'left.sock');
    await link(stale, left);
    await new Promise<void>((resolve) => maker.close(() => resolve()));
    const next = await startAgent(pki, 'n', { control: handlers, socketPath: left });
    await withClient(`unix:${left}`, credentials.createInsecure(), statusOf);
    await next.peers.close();
    await expect(stat(left)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
