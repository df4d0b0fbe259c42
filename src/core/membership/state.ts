// The machine's state, and the working copy one step writes into. The copy never leaves the step.
import type { NodeId, Now } from '../types.ts';
import { digestOf } from './digest.ts';
import { type MemberRecord, NEVER_HEARD } from './merge.ts';
import type { Protocol } from './protocol.ts';
import { type Ring, ringOf } from './ring.ts';
import type { Frame, Member, MemberState, MembershipConfig, MembershipEffect, MemberUpdate } from './types.ts';

/** A running round of probes of one suspect. */
type Probe = { readonly at: number; readonly asked: number; readonly acks: number; readonly nacks: number; readonly lost: number };

/** Everything held about one peer. */
export type Peer = {
  readonly node: NodeId;
  readonly record: MemberRecord;
  readonly address: string;
  /** Named in the configuration: dialled for ever, never forgotten. */
  readonly fixed: boolean;
  /** Accusers in the order they were heard, this node included. */
  readonly order: readonly NodeId[];
  readonly shown: MemberState | 'unknown';
  readonly since: number;
  readonly why: string;
  /** Last frame of its own; last successful probe; start of silence when there was neither. -Infinity = never. */
  readonly heardAt: number;
  readonly provenAt: number;
  readonly baseAt: number;
  /** Since when this node accuses it; since when its closed connection is soft evidence; since when enough others agree. */
  readonly ownSince: number | null;
  readonly softSince: number | null;
  readonly agreedAt: number | null;
  readonly linked: boolean;
  readonly rttMs: number | null;
  readonly jitterMs: number;
  readonly heardSeq: number;
  readonly frame: Frame | null;
  readonly foreign: Protocol | null;
  readonly dialledAt: number;
  readonly tableAt: number;
  readonly nudgedAt: number;
  readonly probe: Probe | null;
  /** When it became dead or left. */
  readonly endedAt: number;
  /** Forgotten; kept as a tombstone only. */
  readonly reaped: boolean;
  /** An older process that speaks under the same name while this one is alive. */
  readonly rival: { readonly boot: number; readonly inc: number; readonly at: number } | null;
  /** Where the process before the newest one listened: what a newcomer under its name must be told. */
  readonly former: { readonly boot: number; readonly address: string } | null;
  readonly alarmedAt: number;
};

/** An update on its way to the others. */
type Spread = { readonly node: NodeId; readonly by: NodeId; readonly left: number };

/** Membership of one node. */
export type MembershipState = {
  readonly config: MembershipConfig;
  readonly startedAt: number;
  readonly inc: number;
  readonly leaving: boolean;
  readonly lhm: number;
  readonly lhmAt: number;
  readonly seed: number;
  readonly seq: number;
  readonly rounds: readonly { readonly seq: number; readonly at: number }[];
  readonly beatAt: number;
  readonly nextBeatAt: number;
  readonly rotateAt: number;
  readonly rotation: number;
  /** Nodes that hear everybody at every heartbeat beyond ALL_TO_ALL_MAX: the active and its heirs. */
  readonly hubs: readonly NodeId[];
  readonly nextTableAt: number;
  readonly tableAt: number;
  /** No verdict before this time. */
  readonly quietUntil: number;
  readonly wakeAt: number;
  readonly spread: ReadonlyMap<string, Spread>;
  readonly peers: ReadonlyMap<NodeId, Peer>;
  readonly digest: number;
  /** Follows from the peers; kept because it rarely changes. */
  readonly ring: Ring | null;
  /** Members refused because the table was full. */
  readonly refused: number;
  readonly alarmedAt: number;
};

/** The working copy of one step. Peers are changed by `putPeer` and `dropPeer`, news by `spreadOf`: the tables are copied at the first change. */
export type Draft = Mutable<MembershipState> & {
  /** The copies that this step made. */
  ownPeers: Map<NodeId, Peer> | null;
  ownSpread: Map<string, Spread> | null;
  readonly now: number;
  effects: MembershipEffect[];
  /** Records changed: the digest must be computed anew. */
  dirty: boolean;
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Opens the working copy of a step. */
export function draftOf(state: MembershipState, now: Now): Draft {
  return { ...state, ownPeers: null, ownSpread: null, now: now.mono, effects: [], dirty: false };
}

function peersOf(d: Draft): Map<NodeId, Peer> {
  if (d.ownPeers === null) {
    d.ownPeers = new Map(d.peers);
    d.peers = d.ownPeers;
  }
  return d.ownPeers;
}

/** Enters a peer into the working copy, or replaces it. */
export function putPeer(d: Draft, peer: Peer): void {
  peersOf(d).set(peer.node, peer);
}

/** Takes a peer out of the working copy; false = it was not there. */
export function dropPeer(d: Draft, node: NodeId): boolean {
  return peersOf(d).delete(node);
}

/** The news of the working copy, to be changed. */
export function spreadOf(d: Draft): Map<string, Spread> {
  if (d.ownSpread === null) {
    d.ownSpread = new Map(d.spread);
    d.spread = d.ownSpread;
  }
  return d.ownSpread;
}

/** Closes the working copy. */
export function stateOf(d: Draft): MembershipState {
  // The copy becomes the state, less its orders: copying it once more would cost as much as the rest of a quiet turn.
  d.effects = [];
  d.ownPeers = null;
  d.ownSpread = null;
  return d;
}

/** A peer of which nothing is known yet but its name. */
export function newPeer(node: NodeId, address: string, fixed: boolean, now: number): Peer {
  return {
    node,
    record: NEVER_HEARD,
    address,
    fixed,
    order: [],
    shown: 'unknown',
    since: now,
    why: 'never heard',
    heardAt: -Infinity,
    provenAt: -Infinity,
    baseAt: now,
    ownSince: null,
    softSince: null,
    agreedAt: null,
    linked: false,
    rttMs: null,
    jitterMs: 0,
    heardSeq: 0,
    frame: null,
    foreign: null,
    dialledAt: -Infinity,
    tableAt: -Infinity,
    nudgedAt: -Infinity,
    probe: null,
    endedAt: -Infinity,
    reaped: false,
    rival: null,
    former: null,
    alarmedAt: -Infinity,
  };
}

/** Whether the record speaks of a process that may still run. */
function isLive(peer: Peer): boolean {
  return !peer.reaped && (peer.record.state === 'alive' || peer.record.state === 'suspect');
}

/** Nodes that count: this one and every peer not dead, not left. */
export function countLive(peers: ReadonlyMap<NodeId, Peer>): number {
  let n = 1;
  for (const peer of peers.values()) if (isLive(peer)) n++;
  return n;
}

/** Replaces fields of a peer in the working copy. */
export function patch(d: Draft, node: NodeId, fields: Partial<Peer>): Peer | null {
  const peer = d.peers.get(node);
  if (peer === undefined) return null;
  const next = { ...peer, ...fields };
  putPeer(d, next);
  return next;
}

/** The digest of the working copy. */
export function currentDigest(d: Draft): number {
  if (d.dirty) {
    d.digest = digestOf(digestRows(d));
    d.dirty = false;
  }
  return d.digest;
}

function* digestRows(d: Draft): Iterable<{ node: NodeId; boot: number; inc: number }> {
  if (!d.leaving) yield { node: d.config.node, boot: d.config.boot, inc: d.inc };
  for (const peer of d.peers.values()) if (isLive(peer)) yield { node: peer.node, boot: peer.record.boot, inc: peer.record.inc };
}

/** The public view of a peer. */
export function memberOf(peer: Peer): Member {
  return {
    node: peer.node,
    address: peer.address,
    boot: peer.record.boot,
    inc: peer.record.inc,
    state: peer.shown === 'unknown' ? 'dead' : peer.shown,
    since: peer.since,
    accusers: peer.order,
    heardAt: peer.heardAt,
    linked: peer.linked,
    rttMs: peer.rttMs,
    jitterMs: peer.jitterMs,
    frame: peer.frame,
    foreign: peer.foreign,
  };
}

/** The line gossiped about this node itself. */
export function selfUpdate(state: Pick<MembershipState, 'config' | 'inc' | 'leaving'>): MemberUpdate {
  const { node, boot, address } = state.config;
  return { node, boot, inc: state.inc, state: state.leaving ? 'left' : 'alive', by: node, ageMs: 0, address };
}

/** The line gossiped about a peer. `by` picks one accuser of several; without one left, the line names the peer itself and accuses in nobody's name. */
export function updateOf(peer: Peer, self: NodeId, now: number, by: NodeId = peer.node): MemberUpdate {
  return { ...claimOf(peer), by: speakerOf(peer, self, by), ageMs: ageMs(now, peer.heardAt), address: peer.address };
}

function claimOf(peer: Peer): Pick<MemberUpdate, 'node' | 'boot' | 'inc' | 'state'> {
  return { node: peer.node, boot: peer.record.boot, inc: peer.record.inc, state: peer.record.state };
}

function speakerOf(peer: Peer, self: NodeId, by: NodeId): NodeId {
  if (peer.record.state === 'dead') return self;
  if (peer.record.state !== 'suspect') return peer.node;
  return by === peer.node || !peer.order.includes(by) ? (peer.order[0] ?? peer.node) : by;
}

/** Age as an unsigned 32-bit count, the largest one for "never". */
export function ageMs(now: number, at: number): number {
  return Math.min(0xffff_ffff, Math.max(0, Math.round(now - at)));
}

function isSame(ring: Ring, peers: ReadonlyMap<NodeId, Peer>): boolean {
  let n = 0;
  for (const peer of peers.values()) {
    if (!isLive(peer)) continue;
    if (ring.live[n] !== peer.node) return false;
    n += 1;
  }
  return n === ring.live.length;
}

/** The ring as it stands now. */
export function currentRing(d: Draft): Ring {
  if (d.ring !== null && isSame(d.ring, d.peers)) return d.ring;
  const live: NodeId[] = [];
  for (const peer of d.peers.values()) if (isLive(peer)) live.push(peer.node);
  d.ring = ringOf(d.config.node, live);
  return d.ring;
}
