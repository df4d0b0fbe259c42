// Frames: the heartbeat of one peer, received on its own authenticated stream.
import type { NodeId } from '../types.ts';
import { absorb, admit, alarm, learn } from './learn.ts';
import { plausible, silenceLimitMs, TABLE_GAP_MS, TABLE_PEER_GAP_MS, UPDATES_IN_MAX } from './limits.ts';
import { type Protocol, understands } from './protocol.ts';
import { addressOfRival, hurry } from './spread.ts';
import { currentDigest, currentRing, type Draft, type Peer, patch } from './state.ts';
import { acquitted } from './suspicion.ts';
import type { Frame } from './types.ts';

/** Shortest time between two rounds sent only to make a suspect refute. */
const NUDGE_MS = 100;

/** Takes a frame that came over the stream of `from`; frames that name another node or cluster are dropped. */
export function onFrame(d: Draft, from: NodeId, frame: Frame): void {
  if (frame.node !== from || frame.cluster !== d.config.cluster) return;
  if (!understands(frame)) {
    onForeign(d, from, { v: frame.v, vMin: frame.vMin });
    return;
  }
  if (!plausible(frame.boot, frame.inc)) return;
  if (from === d.config.node) {
    if (frame.boot !== d.config.boot) alarm(d, from, frame.boot, '');
    return;
  }
  const before = d.peers.get(from) ?? admit(d, from, '');
  if (before === null) return;
  if (frame.boot < before.record.boot) {
    onRival(d, before, frame);
    return;
  }
  if (frame.boot === before.record.boot && frame.seq <= before.heardSeq) return;
  const claim = { boot: frame.boot, inc: frame.inc, state: frame.leaving ? 'left' : 'alive', accusers: [] } as const;
  absorb(d, from, claim, frame.leaving ? 'left' : 'speaks', true);
  creditFrame(d, from, frame);
  for (const update of frame.updates.slice(0, UPDATES_IN_MAX)) learn(d, update);
  nudge(d, from);
  compareDigest(d, from, frame.digest);
}

/** Nothing such a node says is believed, not even that it lives; operators are told once for each protocol it speaks. */
export function onForeign(d: Draft, from: NodeId, protocol: Protocol): void {
  if (from === d.config.node) return;
  const peer = d.peers.get(from) ?? admit(d, from, '');
  if (peer === null || (peer.foreign?.v === protocol.v && peer.foreign.vMin === protocol.vMin)) return;
  patch(d, from, { foreign: protocol });
  d.effects.push({ k: 'foreign', node: from, protocol });
}

/** The frame proves its sender alive, and times the way. */
export function creditFrame(d: Draft, from: NodeId, frame: Frame): void {
  const peer = d.peers.get(from);
  if (peer === undefined) return;
  const again = frame.boot === peer.record.boot && peer.heardSeq > 0;
  const lateMs = again ? Math.max(0, d.now - peer.heardAt - intervalOf(d, from)) : 0;
  const counted = again && d.now >= d.quietUntil;
  patch(d, from, {
    ...acquitted(d, peer),
    heardAt: d.now,
    heardSeq: frame.seq,
    frame,
    foreign: null,
    // A node that left may go on speaking; forgotten it stays forgotten.
    reaped: peer.reaped && frame.leaving,
    jitterMs: counted ? peer.jitterMs + (Math.min(lateMs, 2_000) - peer.jitterMs) / 8 : peer.jitterMs,
    rttMs: roundTrip(d, peer.rttMs, frame),
  });
}

function intervalOf(d: Draft, from: NodeId): number {
  const { speakers, restMs } = currentRing(d);
  return speakers.has(from) ? d.config.heartbeatMs : restMs;
}

function roundTrip(d: Draft, before: number | null, frame: Frame): number | null {
  const sent = d.rounds.find((round) => round.seq === frame.echoSeq);
  if (sent === undefined) return before;
  const rttMs = Math.max(0, d.now - sent.at - frame.echoDelayMs);
  return before === null ? rttMs : before + (rttMs - before) / 8;
}

/** A frame of an older process under the same name. While the newer one is alive, both exist: tell both, and raise the alarm. */
function onRival(d: Draft, peer: Peer, frame: Frame): void {
  patch(d, peer.node, { rival: { boot: frame.boot, inc: frame.inc, at: d.now } });
  hurry(d);
  const freshMs = silenceLimitMs(d.config.heartbeatMs, peer.jitterMs, 0);
  if (d.now - peer.heardAt <= freshMs) alarm(d, peer.node, frame.boot, addressOfRival(peer, frame.boot));
}

/** It speaks but does not know that it is accused: tell it now. */
function nudge(d: Draft, node: NodeId): void {
  const peer = d.peers.get(node);
  if (peer === undefined || (peer.record.state !== 'suspect' && peer.record.state !== 'dead') || d.now - peer.nudgedAt < NUDGE_MS) return;
  patch(d, node, { nudgedAt: d.now });
  hurry(d);
}

function compareDigest(d: Draft, from: NodeId, digest: number): void {
  const peer = d.peers.get(from);
  if (peer === undefined || !peer.linked || digest === currentDigest(d)) return;
  if (d.now - peer.tableAt >= TABLE_PEER_GAP_MS && d.now - d.tableAt >= TABLE_GAP_MS) exchange(d, from);
}

/** Orders an exchange of full tables. */
export function exchange(d: Draft, to: NodeId): void {
  patch(d, to, { tableAt: d.now });
  d.tableAt = d.now;
  d.effects.push({ k: 'pushPull', to });
}
