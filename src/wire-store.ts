// The parts list of replication: the store on disk, the bulk transfer, the local Ollama, and what brings one level by the others.
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { readMono } from './agent/clock.ts';
import { ControlError, type ReplicationHandlers } from './agent/control.ts';
import type { Loop } from './agent/loop.ts';
import type { PeersPort, ReplicatorPort } from './agent/ports.ts';
import { createRemover } from './agent/remover.ts';
import { openDesk, type ReplicationDesk } from './agent/replication-desk.ts';
import { createReplicator } from './agent/replicator.ts';
import type { Pause } from './agent/replicator-ports.ts';
import { startScrub } from './agent/scrub.ts';
import type { Config } from './config/schema.ts';
import type { Inventory, ModelPath, Sha256 } from './core/replication/types.ts';
import { parseWindow } from './core/replication/window.ts';
import { openLoaded } from './drivers/ollama/loaded.ts';
import { openReplicationFiles } from './drivers/state/replication.ts';
import { openStore } from './drivers/store/store.ts';
import { openTransfer } from './drivers/transfer/transfer.ts';
import type { AgentLog } from './log.ts';
import { deletionOf } from './wire-config.ts';

/** Replication of this node; null parts on a node without a model store. */
export type Replication = {
  readonly inventory: () => Inventory;
  readonly manifest: (path: ModelPath, digest: Sha256) => Promise<Uint8Array | null>;
  /** For operators; refuses until `start`. */
  readonly handlers: ReplicationHandlers;
  /** Certificates for every later connection. */
  readonly setTls: (tls: { readonly ca: string; readonly cert: string; readonly key: string }) => void;
  /** Starts copying; `fetchManifest` is the peers' way to a manifest. */
  readonly start: (fetchManifest: PeersPort['fetchManifest'], loop: Loop) => ReplicatorPort;
  readonly close: () => Promise<void>;
};

const wait: Pause = (ms, signal) => pause(ms, undefined, { signal });

/** Opens the store and the blob port. Null: no `ollama:` section, so there is no store here. */
export async function openReplication(config: Config, log: AgentLog): Promise<Replication | null> {
  if (config.ollama === null) return null;
  const { replication, pki, ports, cluster, node, ollama } = config;
  const files = openReplicationFiles(config.paths.state);
  const switches = files.switches ?? { paused: false, bytesPerSecondMax: replication.bytesPerSecondMax };
  const store = await openStore({ root: ollama.store, reserveBytes: replication.reserveBytes, log });
  const [ca, cert, key] = await Promise.all([readFile(pki.ca, 'utf8'), readFile(pki.cert, 'utf8'), readFile(pki.key, 'utf8')]);
  const peers = cluster.nodes.filter((n) => n.id !== node.id).map((n) => [n.id, { host: n.address, port: ports.blobs }] as const);
  const transfer = await openTransfer({
    cluster: cluster.name,
    tls: { ca, cert, key },
    listen: { host: node.address, port: ports.blobs },
    root: ollama.store,
    peers: new Map(peers),
    bytesPerSecondMax: switches.bytesPerSecondMax,
    log,
  });
  store.onVerified(transfer.offer);
  const loaded = openLoaded(ollama.url, Date.now);
  const makeRoom = async (bytes: number, keep: ReadonlySet<Sha256>) =>
    (await store.dropHeld(0, keep)) || (await store.emptyQuarantine(replication.quarantineMs, bytes)).length > 0;
  let desk: ReplicationDesk | null = null;
  const started = (): ReplicationHandlers => {
    if (desk === null) throw new ControlError('unavailable', 'the agent is starting', 'ask again in a second');
    return desk.handlers;
  };
  return {
    inventory: store.inventory,
    setTls: transfer.setTls,
    manifest: store.readManifest,
    handlers: {
      state: async (caller) => started().state(caller),
      order: async (order, caller) => started().order(order, caller),
      verify: async (order, caller) => started().verify(order, caller),
      restore: async (order, caller) => started().restore(order, caller),
    },
    start(fetchManifest, loop) {
      const replicator = createReplicator({
        store: { ...store, makeRoom },
        fetchBlob: transfer.fetchBlob,
        fetchManifest,
        loaded,
        sink: loop.sink,
        log,
        concurrency: replication.concurrency,
        monoMs: readMono,
        pause: wait,
      });
      const { everyMs, bytesPerSecondMax } = replication.scrub;
      const saved = files.cursor;
      desk = openDesk({
        node: node.id,
        store,
        replicator,
        remover: createRemover({ store, loaded, log, pause: wait }),
        scrub: startScrub({ store, everyMs, bytesPerSecondMax, saved, save: files.saveCursor, log, wallMs: Date.now, pause: wait }),
        setLimit: transfer.setLimit,
        switches,
        saveSwitches: files.saveSwitches,
        window: { text: replication.window ?? '', window: parseWindow(replication.window ?? '') },
        deletion: deletionOf(config),
        quarantineMs: replication.quarantineMs,
        core: () => ({ state: loop.view().state, monoMs: readMono() }),
        acceptDeletes: (by) => loop.sink({ k: 'acceptDeletes', by }),
        minuteOfDay,
        log,
        pause: wait,
      });
      return desk;
    },
    async close() {
      await transfer.close();
      await store.close();
      await loaded.close();
    },
  };
}

function minuteOfDay(): number {
  const now = new Date();
  return 60 * now.getHours() + now.getMinutes();
}
