// Which chunks of one blob are here, and which one to ask of whom. No IO.
//
// With several standbys on one active, the active's link is what all of them share. So each standby takes another part of the blob from the
// active, and the rest from the others: a chunk that one of them has, or has asked for, leaves the active only once. Whoever is ahead helps
// from the far end.
import type { NodeId } from '../../core/types.ts';
import { chunkCount, chunkLength, hasBit } from './protocol.ts';

/** `doubtful` = on disk, not checked yet; `coming` = asked of somebody. */
export type ChunkState = 'missing' | 'coming' | 'doubtful' | 'good';

/** What somebody who fetches the blob has of it, and has asked for: one bit per chunk each. */
export type PartHolding = { readonly have: Uint8Array; readonly coming: Uint8Array };

/** What a peer has: everything, or a part. */
export type Holding = 'whole' | PartHolding;

/** The chunks of one blob. */
export type ChunkMap = {
  readonly count: number;
  /** One bit per good chunk, for others to read. */
  readonly have: SharedArrayBuffer;
  /** One bit per chunk that was asked of somebody, for others to read. */
  readonly coming: SharedArrayBuffer;
  readonly stateOf: (chunk: number) => ChunkState;
  readonly set: (chunk: number, state: ChunkState) => void;
  readonly whole: () => boolean;
  readonly goodBytes: () => number;
  /** All good ones become doubtful: they were checked against a list that is not to be trusted. */
  readonly doubtAll: () => void;
  /** First chunk in this state, or null. */
  readonly first: (state: ChunkState) => number | null;
  /**
   * The next chunk to ask of a peer, or null. `mates`: the others that fetch this blob. `idle`: the peer had nothing to do for a while, so what
   * others were to bring is taken from it as well.
   */
  readonly choose: (holding: Holding, self: NodeId, mates: ReadonlyMap<NodeId, PartHolding>, idle?: boolean) => number | null;
};

/** A map with nothing in it. */
export function createChunkMap(sizeBytes: number): ChunkMap {
  const count = chunkCount(sizeBytes);
  const states = Array.from({ length: count }, (): ChunkState => 'missing');
  const have = new SharedArrayBuffer(Math.ceil(count / 8));
  const coming = new SharedArrayBuffer(have.byteLength);
  const bits = new Uint8Array(have);
  const comingBits = new Uint8Array(coming);
  let good = 0;
  let goodBytes = 0;

  const set = (chunk: number, state: ChunkState) => {
    const change = Number(state === 'good') - Number(states[chunk] === 'good');
    good += change;
    goodBytes += change * chunkLength(sizeBytes, chunk);
    if (change !== 0) Atomics.xor(bits, chunk >> 3, 1 << (chunk & 7));
    if ((state === 'coming') !== (states[chunk] === 'coming')) Atomics.xor(comingBits, chunk >> 3, 1 << (chunk & 7));
    states[chunk] = state;
  };
  const missing = (chunk: number) => states[chunk] === 'missing';
  const up = (fits: (chunk: number) => boolean): number | null => {
    for (let chunk = 0; chunk < count; chunk += 1) if (missing(chunk) && fits(chunk)) return chunk;
    return null;
  };
  const down = (fits: (chunk: number) => boolean): number | null => {
    for (let chunk = count - 1; chunk >= 0; chunk -= 1) if (missing(chunk) && fits(chunk)) return chunk;
    return null;
  };
  return {
    count,
    have,
    coming,
    stateOf: (chunk) => states[chunk] ?? 'missing',
    set,
    whole: () => good === count,
    goodBytes: () => goodBytes,
    doubtAll: () => {
      for (let chunk = 0; chunk < count; chunk += 1) if (states[chunk] === 'good') set(chunk, 'doubtful');
    },
    first: (state) => {
      const chunk = states.indexOf(state);
      return chunk < 0 ? null : chunk;
    },
    choose: (holding, self, mates, idle = false) => {
      if (holding !== 'whole') return up((chunk) => hasBit(holding.have, chunk));
      const others = [...mates.values()];
      const held = (chunk: number) => others.some((mate) => hasBit(mate.have, chunk));
      const free = (chunk: number) => !others.some((mate) => hasBit(mate.have, chunk) || hasBit(mate.coming, chunk));
      const fetching = [self, ...mates.keys()].sort();
      const rank = fetching.indexOf(self);
      const mine = (chunk: number) => chunk % fetching.length === rank;
      const chosen = up((chunk) => mine(chunk) && free(chunk)) ?? down(free);
      // While others still fetch what nobody has, the link is theirs.
      if (chosen !== null || (!idle && up((chunk) => !held(chunk)) !== null)) return chosen;
      return up(() => true);
    },
  };
}
