// What this node answers to other nodes. Every call needs a node's certificate; an operator's is refused.
import {
  type handleUnaryCall,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { PeerAnswers, Sink } from '../../agent/ports.ts';
import type { Identity, NodeId } from '../../core/types.ts';
import { type ManifestReply, type MemberTable, PeerService, type ProbeReply } from '../../gen/peer.ts';
import { callerOf, failure, forbidden } from './caller.ts';
import { inventoryOut, MANIFEST_MAX_BYTES, manifestAskIn, probeIn, tableIn, tableOut } from './convert.ts';
import { createLimit, type Limit } from './limit.ts';
import { raw } from './link.ts';

const CALLS_PER_SECOND = 50;
const NACK_MS = 150;

/** What the service needs of the rest. */
export type PeerServiceOptions = {
  readonly self: Identity;
  readonly cluster: string;
  readonly answers: PeerAnswers;
  readonly sink: Sink;
  readonly clock: () => number;
  /** A peer that has proved its name called; false = no room for it. */
  readonly onCaller: (node: NodeId) => boolean;
  readonly onStream: (node: NodeId, call: ServerDuplexStream<Uint8Array, Uint8Array>) => void;
};

/** The generated definition, with the stream as raw bytes: their size is checked before they are decoded. */
export const peerDefinition: ServiceDefinition = {
  ...PeerService,
  stream: { ...PeerService.stream, requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw },
};

/** Handlers for the Peer service. */
export function peerHandlers(options: PeerServiceOptions): UntypedServiceImplementation {
  const { answers, self, cluster, sink, clock } = options;
  const limits = new Map<NodeId, Limit>();

  function limitOf(node: NodeId): Limit {
    const known = limits.get(node);
    if (known !== undefined) return known;
    const limit = createLimit(CALLS_PER_SECOND, clock);
    limits.set(node, limit);
    return limit;
  }

  /** Wraps an answer: checks the caller, bounds the rate, and turns a throw into a status without its text. */
  function unary<Req, Res>(
    answer: (from: NodeId, request: Req, call: ServerUnaryCall<Req, Res>) => Promise<Res>,
  ): handleUnaryCall<Req, Res> {
    return (call, callback) => {
      const caller = callerOf(call, cluster);
      if (caller?.kind !== 'node') return callback(forbidden(caller, 'this call is for nodes of the cluster'));
      if (caller.name === self.node) return callback(failure(status.ALREADY_EXISTS, `another process runs as node ${self.node}`));
      if (!options.onCaller(caller.name) || !limitOf(caller.name)())
        return callback(failure(status.RESOURCE_EXHAUSTED, 'too many calls or peers'));
      answer(caller.name, call.request, call).then(
        (reply) => callback(null, reply),
        (cause: unknown) => callback(isFailure(cause) ? cause : failure(status.INTERNAL, 'the agent could not answer')),
      );
    };
  }

  const pushPull = unary<MemberTable, MemberTable>(async (from, request) => {
    const members = tableIn(request, cluster, from);
    if (!members.ok) throw failure(status.INVALID_ARGUMENT, members.reason);
    sink({ k: 'table', from, members: members.value });
    return tableOut(cluster, self, answers.members());
  });

  const indirectProbe = unary<{ readonly target: string }, ProbeReply>(async (_from, request) => {
    const target = probeIn(request);
    if (!target.ok) throw failure(status.INVALID_ARGUMENT, target.reason);
    return { ack: await withinNackTime(answers, target.value) };
  });

  const manifest = unary<{ readonly path: string; readonly manifestDigest: string }, ManifestReply>(async (_from, request) => {
    const ask = manifestAskIn(request);
    if (!ask.ok) throw failure(status.INVALID_ARGUMENT, ask.reason);
    const content = await answers.manifest(ask.value.path, ask.value.digest);
    if (content === null || content.length > MANIFEST_MAX_BYTES) throw failure(status.NOT_FOUND, 'no such manifest here');
    return { content: raw(content) };
  });

  const stream = (call: ServerDuplexStream<Uint8Array, Uint8Array>) => {
    const caller = callerOf(call, cluster);
    // Late errors of a refused call must not end the process.
    call.on('error', () => {});
    if (caller?.kind !== 'node') return call.emit('error', forbidden(caller, 'this call is for nodes of the cluster'));
    if (caller.name === self.node) return call.emit('error', failure(status.ALREADY_EXISTS, `another process runs as node ${self.node}`));
    if (caller.name > self.node) return call.emit('error', failure(status.FAILED_PRECONDITION, 'the smaller name dials'));
    if (!options.onCaller(caller.name)) return call.emit('error', failure(status.RESOURCE_EXHAUSTED, 'too many peers'));
    return options.onStream(caller.name, call);
  };

  return { stream, pushPull, indirectProbe, manifest, inventory: unary(async () => inventoryOut(answers.inventory())) };
}

/** A nack after 150 ms is an answer too: it tells the asker that this node is well. */
async function withinNackTime(answers: PeerAnswers, target: NodeId): Promise<boolean> {
  const signal = AbortSignal.timeout(NACK_MS);
  const late = new Promise<boolean>((resolve) => signal.addEventListener('abort', () => resolve(false), { once: true }));
  try {
    return await Promise.race([answers.probe(target, signal), late]);
  } catch {
    return false;
  }
}

function isFailure(cause: unknown): cause is ReturnType<typeof failure> {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'number' && 'details' in cause;
}
