// How a swarm gets its chunks: several requests to each peer at a time, and a look now and then at what the others have.
import { setTimeout as pause } from 'node:timers/promises';
import type { NodeId } from '../../core/types.ts';
import type { Holding } from './chunk-map.ts';
import type { Connection } from './connection.ts';
import { openIntake } from './intake.ts';
import type { Peer } from './messages.ts';
import { askHolding } from './peer-chunks.ts';
import { CHUNK_BYTES, chunkLength } from './protocol.ts';
import { convict, give, hashOf, notify, type Round, textOf } from './swarm-round.ts';
import { throttledBody } from './throttle.ts';

/** Requests to one peer that are under way at the same time: without a second one, each answer would be followed by an idle line. */
const DEPTH = 2;
/** When a peer was not needed for so long, it gives from then on what others were to bring, too, ms. */
const IDLE_MS = 1000;
const ASK_MS = 100;
/** Pause between two questions to a peer that has nothing of the blob, ms. */
export const ASK_ABSENT_MS = 500;

/** Asks a mate again and again what it has, and takes it. */
export async function follow(round: Round, mate: Peer): Promise<void> {
  const { order, context, signal, mates } = round;
  let holding: Holding | null = null;
  let draining: Promise<void> | null = null;
  while (!signal.aborted) {
    holding = await askHolding(context, mate, order, signal).catch(() => null);
    if (holding === null || holding === 'whole' || round.suspects.has(mate.node)) mates.delete(mate.node);
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
export async function drain(round: Round, peer: Peer, holding: () => Holding | null): Promise<void> {
  const { context, map, signal, mates, blamed, suspects } = round;
  if (blamed.get(peer.node)?.corrupt === true) return;
  let connection: Connection | null = null;
  let lost: { readonly error: unknown } | null = null;
  const running = new Set<Promise<void>>();
  let chosenAt = performance.now();
  const lose = (error: unknown) => {
    lost ??= { error };
  };
  try {
    const lent = await context.lend(peer, signal);
    connection = lent;
    while (!signal.aborted && !map.whole() && !suspects.has(peer.node)) {
      // A chunk that failed tells everybody of it before its own promise does: without this, its peer would be asked again at once, for ever.
      if (lost !== null) break;
      const held = holding();
      const free = running.size < DEPTH && held !== null;
      const idle = performance.now() - chosenAt > IDLE_MS;
      const chunk = free ? map.choose(held, context.self, mates, idle) : null;
      if (chunk !== null && !idle) chosenAt = performance.now();
      if (chunk !== null) {
        const one = fetchChunk(round, peer, lent, chunk, lose).finally(() => running.delete(one));
        one.catch(() => undefined);
        running.add(one);
      } else if (held === null && running.size === 0) {
        break;
      } else {
        await Promise.race([...running, round.changed.promise]);
      }
    }
    await Promise.all(running);
    rethrow(lost);
    context.giveBack(peer, lent);
  } catch (error) {
    connection?.close();
    await Promise.allSettled(running);
    if (!signal.aborted) blamed.set(peer.node, { node: peer.node, reason: textOf(error), corrupt: false });
  }
}

function rethrow(lost: { readonly error: unknown } | null): void {
  if (lost !== null) throw lost.error;
}

/** Rejects when the peer fails, after `lose` was told. */
async function fetchChunk(round: Round, peer: Peer, connection: Connection, chunk: number, lose: (error: unknown) => void): Promise<void> {
  const { order, map, handle, context, list, signal, wrote } = round;
  const length = chunkLength(order.sizeBytes, chunk);
  map.set(chunk, 'coming');
  round.coming += 1;
  const wanted = hashOf(round, list, chunk);
  const intake = openIntake({ sink: context.sink, wrote, handle, start: chunk * CHUNK_BYTES, length });
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
  } catch (error) {
    lose(error);
    throw error;
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
