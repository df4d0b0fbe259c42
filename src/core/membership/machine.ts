// Membership: who is there, and who looks healthy. It speeds failover up and decides nothing about it (the lease does).
//
// Every agent sends heartbeats over authenticated streams. A frame credits liveness only to the node the stream belongs to. Silence beyond a
// limit, or a closed connection, makes a suspect (suspicion.ts); agreement or time makes it dead; the suspect refutes by raising its own
// incarnation, and nobody else raises it. Reports on a node join in a semilattice (merge.ts), so views converge in whatever order gossip
// arrives; full tables are exchanged on connecting, each 5 s, and when digests differ. Only the monotonic clock is read.
//
// One step: take the input, judge what is due, send what is due, name what changed.
import type { NodeId, Now } from '../types.ts';
import { exchange, onForeign, onFrame } from './frames.ts';
import { admit, learn } from './learn.ts';
import { ALL_TO_ALL_MAX, DIAL_MS, HUBS_MAX, PEERS_MAX, silenceLimitMs, TABLE_MS } from './limits.ts';
import { nextRandom } from './random.ts';
import { beatWhenDue, hurry, tell } from './spread.ts';
import {
  currentDigest,
  type Draft,
  draftOf,
  type MembershipState,
  memberOf,
  newPeer,
  type Peer,
  patch,
  selfUpdate,
  stateOf,
  updateOf,
} from './state.ts';
import { accuse, countProbe, doubtSelf, judgeAll, prove, softSuspect } from './suspicion.ts';
import type { Member, MemberState, MembershipConfig, MembershipEffect, MembershipInput, MemberUpdate } from './types.ts';

export type { MembershipState } from './state.ts';

/** What a step returns. `wakeAt` (monotonic ms) is when the next step is due at the latest. */
export type MembershipStep = {
  readonly state: MembershipState;
  readonly effects: readonly MembershipEffect[];
  readonly wakeAt: number;
};

/** Membership at process start. The incarnation starts at the boot, so a restart is never hidden behind old suspicions. */
export function createMembership(config: MembershipConfig, now: Now, seed: number): MembershipState {
  const known = config.peers.filter((peer) => peer.node !== config.node).slice(0, PEERS_MAX);
  const state: MembershipState = {
    config,
    startedAt: now.mono,
    inc: config.boot,
    leaving: false,
    lhm: 0,
    lhmAt: now.mono,
    seed: seed >>> 0,
    seq: 0,
    rounds: [],
    beatAt: -Infinity,
    nextBeatAt: now.mono,
    rotateAt: now.mono,
    rotation: 0,
    hubs: [],
    nextTableAt: now.mono + TABLE_MS,
    tableAt: -Infinity,
    quietUntil: now.mono,
    wakeAt: now.mono,
    spread: new Map(),
    peers: new Map(known.map(({ node, address }) => [node, newPeer(node, address, true, now.mono)])),
    digest: 0,
    ring: null,
    refused: 0,
    alarmedAt: -Infinity,
  };
  return stateOf({ ...draftOf(state, now), dirty: true });
}

/** One turn of membership. Never throws on any input. */
export function stepMembership(state: MembershipState, input: MembershipInput, now: Now): MembershipStep {
  const d = draftOf(state, now);
  noticeLateness(d);
  take(d, input);
  return finish(d);
}

/**
 * Names the nodes that shall hear everybody, for the rounds from now on; at most HUBS_MAX count. Only senders use it: a node that takes itself
 * for a hub before the others do must not expect their heartbeats.
 */
export function withHubs(state: MembershipState, hubs: readonly NodeId[]): MembershipState {
  const named = hubs.filter((node) => node !== state.config.node).slice(0, HUBS_MAX);
  const same = named.length === state.hubs.length && named.every((node, i) => node === state.hubs[i]);
  return same ? state : { ...state, hubs: named };
}

/** More nodes than may all speak to all. */
export function isLarge(state: MembershipState): boolean {
  return state.peers.size >= ALL_TO_ALL_MAX;
}

/** This node leaves: it says so in a last round, and refutes nothing any more. The caller closes its streams afterwards. */
export function leaving(state: MembershipState, now: Now): MembershipStep {
  const d = draftOf(state, now);
  d.leaving = true;
  d.dirty = true;
  tell(d, d.config.node, d.config.node);
  d.nextBeatAt = d.now;
  return finish(d);
}

// Asked for several times in every turn, and states are never changed: made once for each.
const membersMade = new WeakMap<MembershipState['peers'], readonly Member[]>();

/** Every peer known here, tombstones excluded, this node excluded. A peer that was never heard is `dead` with heardAt -Infinity. */
export function membersOf(state: MembershipState): readonly Member[] {
  const made = membersMade.get(state.peers);
  if (made !== undefined) return made;
  const members: Member[] = [];
  for (const peer of state.peers.values()) if (!peer.reaped) members.push(memberOf(peer));
  membersMade.set(state.peers, members);
  return members;
}

/** The table as gossiped, this node included. */
export function tableOf(state: MembershipState, now: Now): readonly MemberUpdate[] {
  const rows = [...state.peers.values()].filter((peer) => !peer.reaped && peer.record.boot > 0);
  return [selfUpdate(state), ...rows.map((peer) => updateOf(peer, state.config.node, now.mono))];
}

/** The local health multiplier, 0 (well) to 7. */
export function lhmOf(state: MembershipState): number {
  return state.lhm;
}

/** Whether this node has announced that it leaves; the composition puts it into every frame. */
export function isLeaving(state: MembershipState): boolean {
  return state.leaving;
}

/** Judges, sends and reports; common end of every step. */
function finish(d: Draft): MembershipStep {
  const judgeAt = judgeAll(d);
  dialMissing(d);
  exchangeWhenDue(d);
  beatWhenDue(d);
  currentDigest(d);
  report(d);
  d.wakeAt = Math.max(d.now, Math.min(judgeAt, d.nextBeatAt, d.nextTableAt));
  const { effects } = d;
  return { state: stateOf(d), effects, wakeAt: d.wakeAt };
}

/** A step long after it was due: this process stood still, and frames may wait unread. Judge only after a heartbeat's time. */
function noticeLateness(d: Draft): void {
  if (d.now - d.wakeAt > d.config.stallMs) d.quietUntil = Math.max(d.quietUntil, d.now + d.config.heartbeatMs);
}

function take(d: Draft, input: MembershipInput): void {
  switch (input.k) {
    case 'tick':
      break;
    case 'frame':
      onFrame(d, input.from, input.frame);
      break;
    case 'foreign':
      onForeign(d, input.from, input.protocol);
      break;
    case 'link':
      onLink(d, input.peer, input.up, input.hard);
      break;
    case 'table':
      onTable(d, input.from, input.members);
      break;
    case 'probed':
      countProbe(d, input.target, input.ack);
      break;
    case 'dialled':
      onDialled(d, input.target, input.ok);
      break;
    case 'forget':
      onForget(d, input.node);
      break;
    case 'stall':
      onStall(d);
      break;
    case 'stalling':
      suspendVerdicts(d);
      break;
  }
}

function onForget(d: Draft, node: NodeId): void {
  const state = d.peers.get(node)?.record;
  if (state === undefined || (state.boot > 0 && state.state !== 'dead' && state.state !== 'left')) return;
  patch(d, node, { reaped: true, frame: null, order: [], rival: null, shown: 'unknown' });
  d.dirty = true;
}

function onStall(d: Draft): void {
  suspendVerdicts(d);
  doubtSelf(d);
}

function suspendVerdicts(d: Draft): void {
  d.quietUntil = Math.max(d.quietUntil, d.now + d.config.heartbeatMs);
}

function onLink(d: Draft, node: NodeId, up: boolean, hard: boolean): void {
  if (node === d.config.node) return;
  const peer = d.peers.get(node) ?? (up ? admit(d, node, '') : null);
  if (peer === null) return;
  patch(d, node, { linked: up, ...(up ? {} : { dialledAt: d.now }) });
  if (!up) {
    if (hard) softSuspect(d, node);
    return;
  }
  prove(d, node);
  tell(d, d.config.node, d.config.node);
  hurry(d);
  if (d.config.node < node) exchange(d, node);
}

function onTable(d: Draft, from: NodeId, members: readonly MemberUpdate[]): void {
  if (from === d.config.node) return;
  for (const update of members.slice(0, PEERS_MAX + 1)) learn(d, update);
  patch(d, from, { tableAt: d.now });
}

function onDialled(d: Draft, target: NodeId, ok: boolean): void {
  if (ok) {
    prove(d, target);
    return;
  }
  const peer = d.peers.get(target);
  const soft = peer !== undefined && peer.softSince !== null && peer.heardAt <= peer.softSince;
  if (soft && d.now >= d.quietUntil) accuse(d, target, 'its connection was closed and a new one refused');
}

/**
 * Dial orders for members that are not linked; repeated now and then, so that a driver may forget what nobody wants any more. A linked member
 * whose address has just been learned gets one too: it dialled us, and unary calls need a way back.
 */
function dialMissing(d: Draft): void {
  for (const peer of d.peers.values()) {
    const wanted = !peer.reaped && peer.address !== '' && peer.record.state !== 'left';
    const dueAt = peer.linked && peer.dialledAt !== -Infinity ? Infinity : peer.dialledAt + DIAL_MS;
    if (!wanted || d.now < dueAt) continue;
    patch(d, peer.node, { dialledAt: d.now });
    d.effects.push({ k: 'dial', peer: peer.node, address: peer.address });
  }
}

/** Anti-entropy with one random linked peer. */
function exchangeWhenDue(d: Draft): void {
  if (d.now < d.nextTableAt) return;
  const linked = [...d.peers.values()].filter((peer) => peer.linked && peer.record.state !== 'left');
  const turn = nextRandom(d.seed);
  d.seed = turn.seed;
  d.nextTableAt = d.now + TABLE_MS;
  const chosen = linked[Math.floor(turn.value * linked.length)];
  if (chosen !== undefined) exchange(d, chosen.node);
}

/** Names every change of what is shown. */
function report(d: Draft): void {
  for (const peer of d.peers.values()) {
    const shown = shownOf(d, peer);
    if (peer.reaped || shown === peer.shown || shown === 'unknown') continue;
    patch(d, peer.node, { shown, since: d.now });
    d.effects.push({ k: 'memberEvent', node: peer.node, from: peer.shown, to: shown, why: peer.why });
  }
}

/** What is believed of a peer: others' accusations count only as far as it is not heard here. */
function shownOf(d: Draft, peer: Peer): MemberState | 'unknown' {
  if (peer.record.boot === 0) return peer.shown;
  if (peer.record.state === 'dead' || peer.record.state === 'left') return peer.record.state;
  if (peer.ownSince !== null || peer.softSince !== null) return 'suspect';
  if (peer.record.state === 'alive') return 'alive';
  const heard = peer.linked && d.now - peer.heardAt <= silenceLimitMs(d.config.heartbeatMs, peer.jitterMs, d.lhm);
  return heard ? 'alive' : 'suspect';
}
