// One blob from several peers at once, chunk by chunk, in any order; and the same for a part of which nobody knows which bytes are right.
//
// A chunk is good when it has the hash that a node with the whole verified blob gives for it (the list). Good chunks may be served at once to
// others that fetch the blob. The digest of the whole decides in the end, and so does the blame: with it, whoever sent a chunk that
// differed from the list is convicted; without it, whoever gave the list. Then the chunks are checked anew against another node's list, and
// only those that differ are fetched again.
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { NodeId } from '../../core/types.ts';
import type { ChunkMap, Holding } from './chunk-map.ts';
import type { Connection } from './connection.ts';
import { openIntake } from './intake.ts';
import type { Blame, Peer, ReceiveOrder } from './messages.ts';
import { askHolding, type HashList, openHashList } from './peer-chunks.ts';
import { CHUNK_BYTES, chunkLength } from './protocol.ts';
import type { ReceiveContext } from './receive-blob.ts';
import { throttledBody } from './throttle.ts';

/** What a swarm works on. `blamed` and `received` are written. */
export type SwarmArgs = {
  readonly order: ReceiveOrder;
  readonly context: ReceiveContext;
  readonly handle: FileHandle;
  readonly map: ChunkMap;
  readonly signal: AbortSignal;
  readonly blamed: Map<NodeId, Blame>;
  readonly received: (bytes: number, from: NodeId) => void;
};

type Round = SwarmArgs & {
  readonly list: HashList;
  readonly stop: AbortController;
  /** What the other fetching nodes have, as last heard. */
  readonly mates: Map<NodeId, Uint8Array>;
  /** Chunks under way. */
  coming: number;
  readonly suspects: Set<NodeId>;
  /** Changes end the wait of everybody who has nothing to do. */
  changed: PromiseWithResolvers<void>;
  /** What was wrong here (the disk), or with the list: ends the round. */
  failure: { readonly k: 'local' | 'list'; readonly error: unknown } | null;
  arrivedBytes: number;
};

/** Requests to one peer that are under way at the same time: without a second one, each answer would be followed by an idle line. */
const DEPTH = 2;
const ASK_MS = 100;
const ASK_ABSENT_MS = 500;
const TICK_MS = 500;

/** Fetches and checks until the part is the blob (true), or nobody is left who could help (false). Throws what the disk throws. */
export async function receiveChunks(args: SwarmArgs): Promise<boolean> {
  const { order, map, signal, blamed } = args;
  // Whose lists the good chunks were checked against.
  const authors = new Set<NodeId>();
  for (;;) {
    const list = await anyList(args);
    if (list === null) return false;
    authors.add(list.peer.node);
    const goodBefore = map.goodBytes();
    const round = openRound(args, list);
    const hex = await play(round).finally(() => close(round));
    signal.throwIfAborted();
    if (round.failure?.k === 'local') throw round.failure.error;
    if (hex === order.digest) {
      for (const node of round.suspects) convict(blamed, node);
      return true;
    }
    if (hex === null) {
      const progressed = round.arrivedBytes > 0 || map.goodBytes() > goodBefore || blamed.get(list.peer.node)?.corrupt === true;
      if (!progressed) return false;
    } else {
      // A mixture of lists convicts nobody: all is checked anew, against one.
      if (authors.size === 1) convict(blamed, list.peer.node);
      authors.clear();
      map.doubtAll();
    }
  }
}

function convict(blamed: Map<NodeId, Blame>, node: NodeId): void {
  blamed.set(node, { node, reason: 'sent bytes that do not have the digest', corrupt: true });
}

/** The list of the first source that gives one. */
async function anyList({ order, context, signal, blamed }: SwarmArgs): Promise<HashList | null> {
  for (const source of order.sources) {
    if (blamed.get(source.node)?.corrupt === true) continue;
    try {
      const list = await openHashList(context, source, order, signal);
      await list.hashOf(0);
      return list;
    } catch (error) {
      signal.throwIfAborted();
      blamed.set(source.node, { node: source.node, reason: textOf(error), corrupt: false });
    }
  }
  return null;
}

function openRound(args: SwarmArgs, list: HashList): Round {
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

function close(round: Round): void {
  round.stop.abort();
  round.list.close();
}

/** The hex digest of the whole, or null when it did not become whole. Everything it started has ended when it resolves. */
async function play(round: Round): Promise<string | null> {
  const { order, stop, signal } = round;
  const ticker = setInterval(() => notify(round), TICK_MS);
  signal.addEventListener('abort', () => notify(round), { once: true });
  const sources = order.sources.map((source) => drain(round, source, () => 'whole'));
  const mates = order.mates.map((mate) => follow(round, mate));
  const helpers = [audit(round), ...sources];
  // Mates come and go; without a source or a check under way they alone keep the round alive while they bring something.
  const starving = Promise.all(helpers).then(() => starve(round));
  const whole = hashInOrder(round);
  try {
    return await Promise.race([whole, starving]);
  } finally {
    stop.abort();
    await Promise.allSettled([...helpers, ...mates, whole, starving]);
    clearInterval(ticker);
  }
}

async function starve(round: Round): Promise<null> {
  for (let before = -1; before !== round.arrivedBytes || round.coming > 0; ) {
    before = round.arrivedBytes;
    await pause(2 * ASK_ABSENT_MS, undefined, { signal: round.signal }).catch(() => undefined);
    // Whole: the hash over all is still being made.
    while (round.map.whole() && !round.signal.aborted) await round.changed.promise;
    if (round.signal.aborted) break;
  }
  return null;
}

function notify(round: Round): void {
  round.changed.resolve();
  round.changed = Promise.withResolvers();
}

function give(round: Round, k: 'local' | 'list', error: unknown): void {
  if (!round.signal.aborted) round.failure ??= { k, error };
  round.stop.abort();
}

/** Follows the good chunks from the start of the file and hashes them. */
async function hashInOrder(round: Round): Promise<string | null> {
  const { order, map, handle, signal, context } = round;
  const stream = context.sink.open(handle, 0);
  try {
    for (let chunk = 0; chunk < map.count; chunk += 1) {
      while (map.stateOf(chunk) !== 'good' && !signal.aborted) await round.changed.promise;
      if (signal.aborted) return null;
      await stream.absorb(chunkLength(order.sizeBytes, chunk), () => undefined);
    }
    return await stream.digest();
  } catch (error) {
    give(round, 'local', error);
    return null;
  } finally {
    await stream.close();
  }
}

/** Checks what is on disk already. */
async function audit(round: Round): Promise<void> {
  const { order, map, handle, signal, context, list } = round;
  for (let chunk = map.first('doubtful'); chunk !== null && !signal.aborted; chunk = map.first('doubtful')) {
    const stream = context.sink.open(handle, chunk * CHUNK_BYTES);
    try {
      await stream.absorb(chunkLength(order.sizeBytes, chunk), () => undefined);
      const hex = await stream.digest();
      const wanted = await hashOf(round, list, chunk);
      if (wanted === null) return;
      map.set(chunk, hex === wanted ? 'good' : 'missing');
      context.progress({ doneBytes: map.goodBytes(), phase: 'verify', from: '' });
      notify(round);
    } catch (error) {
      give(round, 'local', error);
    } finally {
      await stream.close();
    }
  }
}

async function hashOf(round: Round, list: HashList, chunk: number): Promise<string | null> {
  try {
    return await list.hashOf(chunk);
  } catch (error) {
    if (!round.signal.aborted) round.blamed.set(list.peer.node, { node: list.peer.node, reason: textOf(error), corrupt: false });
    give(round, 'list', error);
    return null;
  }
}

/** Asks a mate again and again what it has, and takes it. */
async function follow(round: Round, mate: Peer): Promise<void> {
  const { order, context, signal, mates } = round;
  let holding: Holding | null = null;
  let draining: Promise<void> | null = null;
  while (!signal.aborted) {
    holding = await askHolding(context, mate, order, signal).catch(() => null);
    if (holding === null || holding === 'whole') mates.delete(mate.node);
    else mates.set(mate.node, holding);
    if (holding !== null && !round.suspects.has(mate.node)) {
      draining ??= drain(round, mate, () => holding).finally(() => {
        draining = null;
      });
      notify(round);
    }
    await pause(holding === null ? ASK_ABSENT_MS : ASK_MS, undefined, { signal }).catch(() => undefined);
  }
  await draining;
}

/** Takes chunks from one peer until there is nothing left to take, or it fails. Never rejects. */
async function drain(round: Round, peer: Peer, holding: () => Holding | null): Promise<void> {
  const { context, map, signal, mates, blamed, suspects } = round;
  if (blamed.get(peer.node)?.corrupt === true) return;
  let connection: Connection | null = null;
  const running = new Set<Promise<void>>();
  try {
    const lent = await context.lend(peer, signal);
    connection = lent;
    while (!signal.aborted && !map.whole() && !suspects.has(peer.node)) {
      const held = holding();
      const chunk = running.size < DEPTH && held !== null ? map.choose(held, context.self, mates) : null;
      if (chunk !== null) {
        const one = fetchChunk(round, peer, lent, chunk).finally(() => running.delete(one));
        one.catch(() => undefined);
        running.add(one);
      } else if (held === null && running.size === 0) {
        break;
      } else {
        await Promise.race([...running, round.changed.promise]);
      }
    }
    await Promise.all(running);
    context.giveBack(peer, lent);
  } catch (error) {
    connection?.close();
    await Promise.allSettled(running);
    if (!signal.aborted) blamed.set(peer.node, { node: peer.node, reason: textOf(error), corrupt: false });
  }
}

/** Rejects when the peer fails. */
async function fetchChunk(round: Round, peer: Peer, connection: Connection, chunk: number): Promise<void> {
  const { order, map, handle, context, list, signal } = round;
  const length = chunkLength(order.sizeBytes, chunk);
  map.set(chunk, 'coming');
  round.coming += 1;
  const wanted = hashOf(round, list, chunk);
  const intake = openIntake({ ...context, handle, start: chunk * CHUNK_BYTES, length });
  let end: 'good' | 'missing' = 'missing';
  try {
    const body = throttledBody({
      intake,
      limit: context.limit,
      resume: connection.resume,
      took: (bytes) => {
        round.arrivedBytes += bytes;
        round.received(bytes, peer.node);
      },
    });
    const request = { k: 'get', digest: order.digest, offset: chunk * CHUNK_BYTES, length } as const;
    const fits = (head: { readonly sizeBytes: number; readonly length: number }) =>
      head.sizeBytes === order.sizeBytes && head.length === length;
    const result = await connection.get({ request, fits, body, signal }).catch((error: unknown) => {
      if (body.failure() !== null) give(round, 'local', body.failure());
      throw error;
    });
    if (result.k === 'wrong') throw new Error(result.reason);
    const hex = await intake.digest().catch((error: unknown) => {
      give(round, 'local', error);
      throw error;
    });
    end = hex === (await wanted) ? 'good' : 'missing';
    if (end === 'missing' && !signal.aborted) suspect(round, peer.node);
  } finally {
    await intake.close();
    round.coming -= 1;
    map.set(chunk, end);
    if (end === 'good') context.progress({ doneBytes: map.goodBytes(), phase: 'receive', from: peer.node });
    notify(round);
  }
}

/** A chunk is not as the list says. Of the list's own author this is proof enough; of others only when the list turns out right. */
function suspect(round: Round, node: NodeId): void {
  round.suspects.add(node);
  if (node !== round.list.peer.node) return;
  convict(round.blamed, node);
  round.map.doubtAll();
  give(round, 'list', new Error('its bytes differ from its own hashes'));
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
