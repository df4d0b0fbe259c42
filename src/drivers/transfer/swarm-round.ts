// What one attempt of a swarm shares: swarm.ts leads it, swarm-take.ts fetches for it.
import type { FileHandle } from 'node:fs/promises';
import type { NodeId } from '../../core/types.ts';
import type { ChunkMap, PartHolding } from './chunk-map.ts';
import type { Blame, ReceiveOrder } from './messages.ts';
import type { HashList } from './peer-chunks.ts';
import type { ReceiveContext } from './receive-blob.ts';

/** What a swarm works on. `blamed` and `received` are written. */
export type SwarmArgs = {
  readonly order: ReceiveOrder;
  readonly context: ReceiveContext;
  readonly handle: FileHandle;
  readonly map: ChunkMap;
  readonly signal: AbortSignal;
  readonly blamed: Map<NodeId, Blame>;
  readonly received: (bytes: number, from: NodeId) => void;
  /** Told of bytes that were written, so that the disk begins with them. */
  readonly wrote: (bytes: number) => void;
};

/** One attempt with one list of hashes. */
export type Round = SwarmArgs & {
  readonly list: HashList;
  readonly stop: AbortController;
  /** What the other fetching nodes have, as last heard. */
  readonly mates: Map<NodeId, PartHolding>;
  /** Chunks under way. */
  coming: number;
  readonly suspects: Set<NodeId>;
  /** Changes end the wait of everybody who has nothing to do. */
  changed: PromiseWithResolvers<void>;
  /** What was wrong here (the disk), or with the list: ends the round. */
  failure: { readonly k: 'local' | 'list'; readonly error: unknown } | null;
  arrivedBytes: number;
};

/** Begins an attempt. */
export function openRound(args: SwarmArgs, list: HashList): Round {
  const stop = new AbortController();
  const round: Round = {
    ...args,
    list,
    stop,
    signal: AbortSignal.any([args.signal, stop.signal]),
    mates: new Map(),
    coming: 0,
    suspects: new Set(),
    changed: Promise.withResolvers(),
    failure: null,
    arrivedBytes: 0,
  };
  return round;
}

/** Ends it and all that runs for it. */
export function closeRound(round: Round): void {
  round.stop.abort();
  round.list.close();
}

/** Wakes everybody who waits for a change. */
export function notify(round: Round): void {
  round.changed.resolve();
  round.changed = Promise.withResolvers();
}

/** Ends the attempt for a reason that is no peer's. */
export function give(round: Round, k: 'local' | 'list', error: unknown): void {
  if (!round.signal.aborted) round.failure ??= { k, error };
  round.stop.abort();
}

/** Blames a node for wrong bytes. */
export function convict(blamed: Map<NodeId, Blame>, node: NodeId): void {
  blamed.set(node, { node, reason: 'sent bytes that do not have the digest', corrupt: true });
}

/** The hash that a chunk must have, or null when the attempt has ended for want of it. */
export async function hashOf(round: Round, list: HashList, chunk: number): Promise<string | null> {
  try {
    return await list.hashOf(chunk);
  } catch (error) {
    if (!round.signal.aborted) round.blamed.set(list.peer.node, { node: list.peer.node, reason: textOf(error), corrupt: false });
    give(round, 'list', error);
    return null;
  }
}

/** An error in words. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
