// One blob from several peers at once, chunk by chunk, in any order; and the same for a part of which nobody knows which bytes are right.
//
// A chunk is good when it has the hash that a node with the whole verified blob gives for it (the list). Good chunks may be served at once to
// others that fetch the blob. The digest of the whole decides in the end, and so does the blame: with it, whoever sent a chunk that
// differed from the list is convicted; without it, whoever gave the list. Then the chunks are checked anew against another node's list, and
// only those that differ are fetched again.
import { setTimeout as pause } from 'node:timers/promises';
import type { NodeId } from '../../core/types.ts';
import { type HashList, openHashList } from './peer-chunks.ts';
import { CHUNK_BYTES, chunkLength } from './protocol.ts';
import { closeRound, convict, give, hashOf, notify, openRound, type Round, type SwarmArgs, textOf } from './swarm-round.ts';
import { ASK_ABSENT_MS, drain, follow } from './swarm-take.ts';

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
    const hex = await play(round).finally(() => closeRound(round));
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
