// The wire between agents: links to every peer that is wanted, one listener, and facts for the core.
import { type Client, logVerbosity, setLogVerbosity, status } from '@grpc/grpc-js';
import type { ControlHandlers } from '../../agent/control.ts';
import type { PeerAnswers, PeersPort, Sink } from '../../agent/ports.ts';
import type { MemberUpdate } from '../../core/membership/types.ts';
import type { Identity, NodeId } from '../../core/types.ts';
import { ControlService } from '../../gen/control.ts';
import { HealthService } from '../../gen/health.ts';
import { PeerService } from '../../gen/peer.ts';
import { controlHandlers } from './control-service.ts';
import { inventoryIn, tableIn, tableOut } from './convert.ts';
import { splitAddress, uint64 } from './fields.ts';
import { healthHandlers } from './health.ts';
import { createLink, type Link, raw } from './link.ts';
import { peerDefinition, peerHandlers } from './peer-service.ts';
import { handshake, PROBE_MS, type ProbeTarget } from './probe.ts';
import { listenForPeers, listenOnSocket, type Service } from './server.ts';
import { type LiveIdentity, liveIdentity, loadIdentity, type PeersError, serverNameOf, type TlsFiles } from './tls.ts';
import { createTraffic, type Traffic, type TrafficCounter } from './traffic.ts';
import { type Method, unary } from './unary.ts';

const LINKS_MAX = 255;
const TABLE_MS = 1_000;
const INDIRECT_MS = 400;
const INVENTORY_MS = 5_000;
const MANIFEST_MS = 5_000;
/** A peer without a stream whose dial order was not repeated for this long is wanted no more. */
const FORGET_MS = 120_000;
const SWEEP_MS = 30_000;

/** Where the driver's events go: a stable id, a sentence, and facts. */
type PeersLog = (
  level: 'info' | 'warn' | 'error',
  event: string,
  text: string,
  fields: Readonly<Record<string, string | number | boolean>>,
) => void;

/** What the driver needs. Without `control` there is no control service; without `socketPath` none on a socket. */
export type PeersOptions = {
  readonly self: Identity;
  readonly cluster: string;
  readonly tls: TlsFiles;
  readonly listen: { readonly host: string; readonly port: number };
  readonly answers: PeerAnswers;
  readonly control: ControlHandlers | null;
  readonly socketPath: string | null;
  /** What the health service answers; absent = always true. */
  readonly serving?: () => boolean;
  /** Offer the reflection service; absent = no. */
  readonly reflection?: boolean;
  readonly sink: Sink;
  readonly log: PeersLog;
};

/** The port, and what the composition needs beside it. */
export type GrpcPeers = PeersPort & {
  /** A fresh handshake with a peer whose address is known here: the answer to a peer's indirect probe. */
  probe(target: NodeId, signal: AbortSignal): Promise<boolean>;
  /** Reads the certificates anew; every later handshake takes them. The error leaves the old ones in use. */
  reload(): Promise<PeersError | null>;
  /** Everything sent to other nodes so far. */
  traffic(): Traffic;
  /** The port listened on; differs from the one asked for when that was 0. */
  readonly port: number;
};

/** Listens, and dials what it is told to. The error is the operator's: bad certificates, a port in use, another agent on the socket. */
export async function createPeers(options: PeersOptions): Promise<GrpcPeers | { readonly error: PeersError }> {
  // The library would print to stderr, past the agent's log; what matters of it comes back as errors.
  setLogVerbosity(logVerbosity.NONE);
  const loaded = await loadIdentity(options.tls, options.self.node, options.cluster);
  if ('error' in loaded) return loaded;
  const identity = liveIdentity(loaded);
  const traffic = createTraffic();
  const links = createLinks(options, identity, traffic);
  const { self, cluster, answers, sink, control, socketPath } = options;
  const peer = peerHandlers({
    self,
    cluster,
    answers,
    sink,
    clock,
    onCaller: (node) => links.heard(node),
    onStream: (node, call) => links.of(node)?.adopt(call),
  });
  const standard = await standardServices(options);
  const controlOf = (over: string | null): Service[] =>
    control === null ? [] : [{ definition: ControlService, handlers: controlHandlers(control, { cluster: over }) }];
  const listener = await listenForPeers(identity, options.listen, [
    { definition: traffic.countedReplies(peerDefinition), handlers: peer },
    ...controlOf(cluster),
    ...standard,
  ]);
  if ('error' in listener) return listener;
  const local = control === null || socketPath === null ? null : await listenOnSocket(socketPath, [...controlOf(null), ...standard]);
  if (local !== null && 'error' in local) {
    await listener.close();
    return local;
  }
  return {
    ...portOf(options, links, traffic),
    port: listener.port,
    reload: async () => {
      const next = await loadIdentity(options.tls, options.self.node, options.cluster);
      if ('error' in next) return next.error;
      identity.replace(next);
      return null;
    },
    close: async () => {
      links.close();
      await Promise.all([listener.close(), local?.close()]);
    },
  };
}

/** What every gRPC client expects of a server: health, and reflection where it is wanted. */
async function standardServices({ control, serving, reflection }: PeersOptions): Promise<readonly Service[]> {
  const own = ['ollama_ha.v1.Peer', ...(control === null ? [] : ['ollama_ha.v1.Control'])];
  const health = { definition: HealthService, handlers: healthHandlers({ services: own, serving: serving ?? (() => true) }) };
  if (reflection !== true) return [health];
  const { reflectionServices } = await import('./reflection.ts');
  return [health, ...reflectionServices([...own, 'grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection'])];
}

type Links = ReturnType<typeof createLinks>;

/** The links by name, bounded. */
function createLinks(options: PeersOptions, identity: LiveIdentity, traffic: TrafficCounter) {
  const { self, cluster, sink, log } = options;
  const links = new Map<NodeId, Link>();

  const sweep = setInterval(() => {
    for (const [node, link] of links) {
      if (link.linked() || clock() - link.dialledAt() < FORGET_MS) continue;
      link.close();
      links.delete(node);
    }
  }, SWEEP_MS);
  sweep.unref();

  function of(node: NodeId): Link | null {
    const known = links.get(node);
    if (known !== undefined) return known;
    if (node === self.node || links.size >= LINKS_MAX) return null;
    const link = createLink({
      self: self.node,
      peer: node,
      identity,
      clock,
      serialize: traffic.counted(raw),
      onMessage: (msg) => {
        if (node < self.node) links.get(node)?.heard();
        sink({ k: 'peer', from: node, msg });
      },
      onForeign: (protocol) => sink({ k: 'foreign', from: node, protocol }),
      onLink: (up, hard) => {
        log('info', up ? 'peer-linked' : 'peer-unlinked', `stream with ${node} ${up ? 'is open' : hard ? 'broke' : 'was closed'}`, {
          node,
          hard,
        });
        sink({ k: 'link', peer: node, up, hard });
      },
      onKnock: (client) => exchange(options, traffic, client, node, options.answers.members()),
      onRefused: (reason) => log('warn', 'peer-message-refused', `a message of ${node} was refused: ${reason}`, { node, reason }),
      onRejected: (reason) => log('warn', 'peer-refuses', `${node} refuses our stream: ${reason}`, { node, reason }),
      onMismatch: (why) => log('error', 'peer-certificate', `no connection to ${node}: ${why}`, { node, why }),
      onReach: (up) =>
        log(up ? 'info' : 'warn', up ? 'peer-reached' : 'peer-unreachable', `${node} ${up ? 'is reached again' : 'cannot be reached'}`, {
          node,
        }),
    });
    links.set(node, link);
    return link;
  }

  return {
    of,
    heard(node: NodeId): boolean {
      const link = of(node);
      link?.heard();
      return link !== null;
    },
    targetFor(node: NodeId, address: string): ProbeTarget | null {
      const place = splitAddress(address);
      return place === null ? null : { ...place, serverName: serverNameOf(node, cluster), context: identity.context };
    },
    close(): void {
      clearInterval(sweep);
      for (const link of links.values()) link.close();
    },
  };
}

function portOf(options: PeersOptions, links: Links, traffic: TrafficCounter): Omit<GrpcPeers, 'port' | 'close' | 'reload'> {
  const { sink, log } = options;
  const clientOf = (node: NodeId) => links.of(node)?.client() ?? null;
  const never = new AbortController().signal;

  async function probe(target: NodeId, signal: AbortSignal): Promise<boolean> {
    const at = links.of(target)?.target() ?? null;
    return at !== null && (await handshake(at, PROBE_MS, signal));
  }

  return {
    probe,
    traffic: traffic.total,
    send: (to, msg) => links.of(to)?.send(msg),
    dial(peer, address) {
      const target = links.targetFor(peer, address);
      if (target === null)
        log('warn', 'peer-address', `${peer} has an address that cannot be dialled: ${address.slice(0, 80)}`, { node: peer });
      else links.of(peer)?.dial(target);
    },
    pushPull(to, members) {
      const client = clientOf(to);
      if (client !== null) exchange(options, traffic, client, to, members);
    },
    indirectProbe(via, target) {
      const client = clientOf(via);
      const method = counted(traffic, PeerService.indirectProbe);
      const asked = client === null ? null : unary(client, method, { target }, INDIRECT_MS, never);
      const told = (ack: boolean | null) => sink({ k: 'probed', target, via, ack });
      if (asked === null) setImmediate(() => told(null));
      else
        asked.then(
          (reply) => told(reply.ack),
          () => told(null),
        );
    },
    directProbe(target) {
      void probe(target, never).then((ok) => sink({ k: 'dialled', target, ok }));
    },
    fetchInventory(from, version) {
      const client = clientOf(from);
      if (client === null) return;
      unary(client, counted(traffic, PeerService.inventory), { version: uint64(version) }, INVENTORY_MS, never).then(
        (reply) => {
          const parsed = inventoryIn(reply);
          if (parsed.ok) sink({ k: 'peerInventory', from, ...parsed.value });
          else log('warn', 'peer-inventory-refused', `the inventory of ${from} was refused: ${parsed.reason}`, { node: from });
        },
        (error: Error) => log('warn', 'peer-inventory-failed', `no inventory from ${from}: ${error.message}`, { node: from }),
      );
    },
    async fetchManifest(from, path, digest, signal) {
      const client = clientOf(from);
      if (client === null) throw new Error(`${from} is not connected`);
      return (await unary(client, counted(traffic, PeerService.manifest), { path, manifestDigest: digest }, MANIFEST_MS, signal)).content;
    },
  };
}

/** Both tables cross; the answer becomes a fact. A peer that does not answer is no news here: heartbeats tell. */
function exchange(options: PeersOptions, traffic: TrafficCounter, client: Client, to: NodeId, members: readonly MemberUpdate[]): void {
  const { cluster, self, sink, log } = options;
  unary(client, counted(traffic, PeerService.pushPull), tableOut(cluster, self, members), TABLE_MS, new AbortController().signal).then(
    (table) => {
      const parsed = tableIn(table, cluster, to);
      if (parsed.ok) sink({ k: 'table', from: to, members: parsed.value });
      else log('warn', 'peer-table-refused', `the table of ${to} was refused: ${parsed.reason}`, { node: to });
    },
    (error: Error & { code?: number }) => {
      const alarming =
        error.code === status.PERMISSION_DENIED || error.code === status.ALREADY_EXISTS || error.code === status.INVALID_ARGUMENT;
      if (alarming) log('warn', 'peer-refuses', `${to} refuses us: ${error.message}`, { node: to });
    },
  );
}

function counted<Req, Res>(traffic: TrafficCounter, method: Method<Req, Res>): Method<Req, Res> {
  const { path, requestSerialize, responseDeserialize } = method;
  return { path, requestSerialize: traffic.counted(requestSerialize), responseDeserialize };
}

function clock(): number {
  return performance.now();
}
