// Whole nodes for replication tests: a real store, real blob connections, the replicator; only the gRPC hop for manifests is a direct call.
import { setTimeout as wait } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import type { ReplicatorPort } from '../../../src/agent/ports.ts';
import { createReplicator, type ReplicatorOptions } from '../../../src/agent/replicator.ts';
import { planReplication } from '../../../src/core/replication/plan.ts';
import type { Inventory, ReplicationPlan, ReplicationPolicy } from '../../../src/core/replication/types.ts';
import type { Store } from '../../../src/drivers/store/store.ts';
import type { BlobAddress } from '../../../src/drivers/transfer/messages.ts';
import { openTransfer, type Transfer } from '../../../src/drivers/transfer/transfer.ts';
import { complete, freshRoot, inventoryWhere, open, type TestModel, writeModel } from '../store/models.ts';
import { ANY, identity } from './nodes.ts';

/** A node whose store is served. */
export type Source = { readonly name: string; readonly store: Store; readonly root: string; readonly address: BlobAddress };

/** A source that holds these models, verified. */
export async function source(name: string, models: readonly TestModel[]): Promise<Source> {
  const root = freshRoot();
  for (const model of models) writeModel(root, model);
  const store = await open(root);
  for (const { path } of models) await complete(store, path);
  const peers = new Map([['me', ANY]]);
  const transfer = await openTransfer({
    cluster: 'lab',
    tls: await identity(name),
    listen: ANY,
    root,
    peers,
    bytesPerSecondMax: 0,
    log: () => undefined,
  });
  store.onVerified(transfer.offer);
  onTestFinished(() => transfer.close());
  return { name, store, root, address: { host: '127.0.0.1', port: transfer.port() } };
}

/** A standby that replicates. */
export type Standby = {
  readonly store: Store;
  readonly root: string;
  readonly transfer: Transfer;
  readonly replicator: ReplicatorPort;
  readonly events: string[];
  /** The plan against the first source, made of the inventories as they are now. */
  readonly plan: (policy?: Partial<ReplicationPolicy>) => ReplicationPlan;
  /** Plans and applies until nothing is left to fetch. */
  readonly follow: () => Promise<Inventory>;
};

/** Opens a standby of these sources, the first one active. `root` may hold an earlier life. */
export async function standby(
  sources: readonly Source[],
  overrides: Partial<ReplicatorOptions> & { readonly root?: string } = {},
): Promise<Standby> {
  const root = overrides.root ?? freshRoot();
  const store = await open(root);
  const [active, ...others] = sources;
  if (active === undefined) throw new Error('a standby needs a source');
  const events: string[] = [];
  const transfer = await openTransfer({
    cluster: 'lab',
    tls: await identity('me'),
    listen: null,
    root,
    peers: new Map(sources.map(({ name, address }) => [name, address])),
    bytesPerSecondMax: 0,
    stallMs: 1000,
    log: () => undefined,
  });
  const replicator = createReplicator({
    store,
    fetchBlob: transfer.fetchBlob,
    fetchManifest: async (from, path, digest) => {
      const bytes = await sources.find(({ name }) => name === from)?.store.readManifest(path, digest);
      if (bytes === null || bytes === undefined) throw new Error('no such manifest');
      return bytes;
    },
    sink: () => undefined,
    log: (_level, event, text) => void events.push(`${event}: ${text}`),
    concurrency: 2,
    monoMs: () => performance.now(),
    pause: (ms, signal) => wait(Math.min(ms, 100), undefined, { signal }),
    ...overrides,
  });
  onTestFinished(async () => {
    await replicator.close();
    await transfer.close();
  });
  const plan = (policy: Partial<ReplicationPolicy> = {}) =>
    planReplication({
      own: store.inventory(),
      active: { node: active.name, inventory: active.store.inventory(), epoch: 1 },
      peers: new Map(others.map((peer) => [peer.name, peer.store.inventory()])),
      policy: { include: [/^/], exclude: [], required: [], ...policy },
    });
  const follow = () => {
    replicator.apply(plan());
    return inventoryWhere(store, () => {
      const next = plan();
      replicator.apply(next);
      return next.fetch.length === 0;
    });
  };
  return { store, root, transfer, replicator, events, plan, follow };
}
