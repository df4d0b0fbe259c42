// The parts list of replication: the store on disk, the bulk transfer, and the replicator that brings one level by the other.
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { readMono } from './agent/clock.ts';
import type { PeersPort, ReplicatorPort, Sink } from './agent/ports.ts';
import { createReplicator } from './agent/replicator.ts';
import type { Config } from './config/schema.ts';
import type { Inventory, ModelPath, Sha256 } from './core/replication/types.ts';
import { openStore } from './drivers/store/store.ts';
import { openTransfer } from './drivers/transfer/transfer.ts';
import type { AgentLog } from './log.ts';

/** Replication of this node; null parts on a node without a model store. */
export type Replication = {
  readonly inventory: () => Inventory;
  readonly manifest: (path: ModelPath, digest: Sha256) => Promise<Uint8Array | null>;
  /** Starts copying; `fetchManifest` is the peers' way to a manifest. */
  readonly start: (fetchManifest: PeersPort['fetchManifest'], sink: Sink) => ReplicatorPort;
  readonly close: () => Promise<void>;
};

/** Opens the store and the blob port. Null: no `ollama:` section, so there is no store here. */
export async function openReplication(config: Config, log: AgentLog): Promise<Replication | null> {
  if (config.ollama === null) return null;
  const { replication, pki, ports, cluster, node, ollama } = config;
  const store = await openStore({ root: ollama.store, reserveBytes: replication.reserveBytes, log });
  const [ca, cert, key] = await Promise.all([readFile(pki.ca, 'utf8'), readFile(pki.cert, 'utf8'), readFile(pki.key, 'utf8')]);
  const peers = cluster.nodes.filter((n) => n.id !== node.id).map((n) => [n.id, { host: n.address, port: ports.blobs }] as const);
  const transfer = await openTransfer({
    cluster: cluster.name,
    tls: { ca, cert, key },
    listen: { host: node.address, port: ports.blobs },
    root: ollama.store,
    peers: new Map(peers),
    bytesPerSecondMax: replication.bytesPerSecondMax,
    log,
  });
  store.onVerified(transfer.offer);
  return {
    inventory: store.inventory,
    manifest: store.readManifest,
    start: (fetchManifest, sink) =>
      createReplicator({
        store,
        fetchBlob: transfer.fetchBlob,
        fetchManifest,
        sink,
        log,
        concurrency: replication.concurrency,
        monoMs: readMono,
        pause: (ms, signal) => pause(ms, undefined, { signal }),
      }),
    async close() {
      await transfer.close();
      await store.close();
    },
  };
}
