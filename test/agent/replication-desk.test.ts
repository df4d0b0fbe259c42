// The desk on a real store: what the loop hands over, and what an operator may order, up to the gRPC call.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { credentials, Server, ServerCredentials, type ServiceError } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ControlHandlers } from '../../src/agent/control.ts';
import { openDesk, type ReplicationSwitches } from '../../src/agent/replication-desk.ts';
import type { RemoveModel, ReplicationPlan } from '../../src/core/replication/types.ts';
import type { CoreState } from '../../src/core/state.ts';
import { controlHandlers } from '../../src/drivers/grpc/control-service.ts';
import { type CommandReply, ControlClient, ControlService, type ReplicationReply, type VerifyReply } from '../../src/gen/control.ts';
import { complete, freshRoot, holds, makeModel, open, type TestModel, writeModel } from '../contract/store/models.ts';
import { createCluster } from '../core/cluster.ts';

const PLAN: ReplicationPlan = {
  fetch: [{ path: 'registry.ollama.ai/library/far/latest', manifestDigest: 'ab'.repeat(32), from: 'x', sources: ['x'], epoch: 7 }],
  conflicts: [],
  extra: [],
  refused: [],
  blocked: null,
  bytesBehind: 10,
  modelsComplete: 0,
  modelsTotal: 1,
};

async function desk(
  models: readonly TestModel[],
  switches: ReplicationSwitches = { paused: false, bytesPerSecondMax: 0 },
  pauseMsMax = 60_000,
) {
  const root = freshRoot();
  for (const model of models) writeModel(root, model);
  const store = await open(root);
  for (const { path } of models) await complete(store, path);
  const cluster = createCluster(['x', 'y']);
  const seen = { plans: [] as number[], removals: [] as number[], limits: [] as number[], saved: [] as ReplicationSwitches[], retries: 0 };
  const accepted: string[] = [];
  let accept: () => void = () => undefined;
  const core = (): CoreState => ({
    ...cluster.get('y').state,
    own: store.inventory(),
    plan: PLAN,
    holder: { ...cluster.get('y').state.holder, node: 'x' },
  });
  let state = core();
  const it = openDesk({
    node: 'y',
    store,
    replicator: {
      apply: (plan) => void seen.plans.push(plan?.fetch.length ?? -1),
      progress: () => [
        { path: PLAN.fetch[0]?.path ?? '', from: 'x', doneBytes: 4, totalBytes: 10, bytesPerSecond: 2, phase: 'blobs', note: '' },
      ],
      retryNow: () => {
        seen.retries += 1;
      },
      close: async () => undefined,
    },
    remover: { apply: (orders: readonly RemoveModel[]) => void seen.removals.push(orders.length), close: async () => undefined },
    scrub: {
      view: () => ({ running: false, checkedBlobs: 0, checkedBytes: 0, totalBlobs: 0, corruptBlobs: 0, lastDoneAtMs: 0, nextAtMs: 0 }),
      close: () => undefined,
    },
    setLimit: (bytes) => void seen.limits.push(bytes),
    switches,
    saveSwitches: (next) => void seen.saved.push(next),
    window: { text: '', window: null },
    deletion: { follow: true, graceMs: 1000, maxPerPass: 3 },
    quarantineMs: 86_400_000,
    core: () => ({ state, monoMs: 0 }),
    acceptDeletes: (by) => {
      accepted.push(by);
      accept();
    },
    minuteOfDay: () => 0,
    log: () => undefined,
    pause: (ms, signal) => wait(Math.min(ms, pauseMsMax), undefined, { signal }),
  });
  onTestFinished(() => it.close());
  const client = await serve({ replication: it.handlers } as unknown as ControlHandlers);
  const setState = (next: Partial<CoreState>) => {
    state = { ...core(), ...next };
  };
  const onAccept = (act: () => void) => {
    accept = act;
  };
  return { root, store, seen, accepted, desk: it, client, setState, onAccept };
}

async function serve(handlers: ControlHandlers) {
  const dir = mkdtempSync(join(tmpdir(), 'desk-'));
  const server = new Server();
  server.addService(ControlService, controlHandlers(handlers, { cluster: null }));
  const target = `unix:${join(dir, 'agent.sock')}`;
  await new Promise((resolve) => server.bindAsync(target, ServerCredentials.createInsecure(), resolve));
  const client = new ControlClient(target, credentials.createInsecure());
  onTestFinished(() => {
    client.close();
    server.forceShutdown();
    rmSync(dir, { recursive: true, force: true });
  });
  const answer = <T>(ask: (done: (error: ServiceError | null, reply: T) => void) => void) =>
    new Promise<T>((resolve, reject) => ask((error, reply) => (error === null ? resolve(reply) : reject(new Error(error.details)))));
  return {
    state: () => answer<ReplicationReply>((done) => client.replication({}, done)),
    order: (action: string, bytes = 0n) =>
      answer<CommandReply>((done) => client.replicationOrder({ action, by: 'ann', bytesPerSecondMax: bytes }, done)),
    verify: (models: string[], id = 0) => answer<VerifyReply>((done) => client.verify({ id, models, repair: false, by: 'ann' }, done)),
    restore: (model: string, as = '') => answer<CommandReply>((done) => client.restore({ model, as, by: 'ann' }, done)),
  };
}

const order = { path: 'registry.ollama.ai/library/a/latest', manifestDigest: 'ab'.repeat(32), epoch: 7 };

describe('the desk', () => {
  it('hands plan and removals on, and neither while paused', async () => {
    const it = await desk([]);
    it.desk.apply(PLAN, [order]);
    expect(await it.client.order('pause')).toMatchObject({ outcome: 'done' });
    it.desk.apply(PLAN, [order]);
    await it.client.order('resume');
    it.desk.apply(PLAN, [order]);
    expect(it.seen).toMatchObject({ plans: [1, 0, 1], removals: [1, 0, 1] });
    expect(it.seen.saved.map(({ paused }) => paused)).toEqual([true, false]);
  });

  it('stays paused over a restart', async () => {
    const it = await desk([], { paused: true, bytesPerSecondMax: 5 });
    it.desk.apply(PLAN, [order]);
    expect(it.seen).toMatchObject({ plans: [0], removals: [0] });
    await expect(it.client.order('now')).rejects.toThrow('replication is paused here');
    expect(await it.client.state()).toMatchObject({ paused: true, bytesPerSecondMax: 5n });
  });

  it('changes the limit at once and remembers it', async () => {
    const it = await desk([]);
    await it.client.order('limit', 50_000_000n);
    expect([it.seen.limits, it.seen.saved]).toEqual([[50_000_000], [{ paused: false, bytesPerSecondMax: 50_000_000 }]]);
  });

  it('tries at once on now', async () => {
    const it = await desk([]);
    it.desk.apply(PLAN, []);
    expect(await it.client.order('now')).toMatchObject({ text: '1 models are behind and copied now' });
    expect(it.seen.retries).toBe(1);
  });

  it('accepts a loss only where there is one', async () => {
    const it = await desk([]);
    expect(await it.client.order('accept-deletes')).toMatchObject({ outcome: 'nothing' });
    const { deletions } = createCluster(['x']).get('x').state;
    it.setState({ deletions: { ...deletions, alert: { lost: 9, of: 10, at: 0 } } });
    expect((await it.client.state()).alert).toContain('lost 9 of 10 models');
    it.onAccept(() => it.setState({}));
    expect(await it.client.order('accept-deletes')).toMatchObject({ outcome: 'done', text: expect.stringContaining('accepted on y;') });
    expect(it.accepted).toEqual(['ann']);
  });

  it('says which node did not confirm that a loss is accepted, after asking it again', async () => {
    const it = await desk([], undefined, 1);
    const { deletions } = createCluster(['x']).get('x').state;
    it.setState({ deletions: { ...deletions, alert: { lost: 9, of: 10, at: 0 } } });
    expect(await it.client.order('accept-deletes')).toMatchObject({ outcome: 'incomplete', text: 'y did not confirm' });
    expect(it.accepted.length).toBeGreaterThan(1);
  });

  it('refuses an order it does not know', async () => {
    await expect((await desk([])).client.order('explode')).rejects.toThrow('the order cannot be read');
  });

  it('tells rate and time left of what is on its way', async () => {
    const { transfers } = await (await desk([])).client.state();
    expect(transfers).toMatchObject([{ model: 'far:latest', bytesPerSecond: 2n, etaMs: 3000n }]);
  });

  it('verifies named models, and names what is not here', async () => {
    const it = await desk([makeModel('a'), makeModel('b')]);
    it.setState({});
    await expect(it.client.verify(['c'])).rejects.toThrow('c:latest is not here');
    await expect(it.client.verify(['a'], 99)).rejects.toThrow('no pass 99');
    const { id } = await it.client.verify(['a']);
    for (;;) {
      const report = await it.client.verify([], id);
      if (report.phase === 'done') {
        expect(report.blobs).toBe(2);
        break;
      }
      await wait(5);
    }
  });

  it('restores what is kept, and says what to do where it cannot', async () => {
    const model = makeModel('a');
    const it = await desk([model, makeModel('b')]);
    await it.store.removeModel(model.path, model.digest);
    expect((await it.client.state()).quarantine).toMatchObject([{ kind: 'deleted', model: 'a:latest' }]);
    await expect(it.client.restore('../../etc')).rejects.toThrow('is not a model name');
    await expect(it.client.restore('c')).rejects.toThrow(
      'no c:latest is in the quarantine; try: agentctl replication status lists what is',
    );
    expect(await it.client.restore('a')).toMatchObject({ outcome: 'done', text: 'a:latest is back, every blob verified' });
    expect(holds(it.root, model)).toBe(true);
  });

  it('a node without a model store says so', async () => {
    const client = await serve({} as unknown as ControlHandlers);
    await expect(client.order('pause')).rejects.toThrow('this node has no model store');
  });
});
