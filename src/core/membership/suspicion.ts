// From silence to death. A peer silent beyond its limit is suspected, probed through others and directly, and the suspicion gossiped.
// Death needs agreement for a while, or a longer time alone; fresh frames of the peer itself veto both, whatever others say.
// While `quietUntil` lies ahead (this node stalled) nothing is judged at all.
import type { NodeId } from '../types.ts';
import { AGREED_MS, ALONE_MS, LHM_CLEAN_MS, LHM_MAX, PROBE_MS, PROBE_VIAS, REAP_MS, silenceLimitMs } from './limits.ts';
import { sample } from './random.ts';
import type { Ring } from './ring.ts';
import { hurry, tell } from './spread.ts';
import { currentRing, type Draft, type Peer, patch } from './state.ts';

/** What all verdicts of one pass share: nobody's life changes within it but by its own verdicts. */
type Court = Pick<Ring, 'speakers' | 'restMs'> & { readonly n: number };

/** Judges every peer; returns when the next verdict may fall due. */
export function judgeAll(d: Draft): number {
  if (d.now < d.quietUntil) return d.quietUntil;
  if (d.lhm > 0 && d.now - d.lhmAt >= LHM_CLEAN_MS) {
    d.lhm -= 1;
    d.lhmAt = d.now;
  }
  const { live, speakers, restMs } = currentRing(d);
  const court: Court = { n: live.length + 1, speakers, restMs };
  let next = d.lhm > 0 ? d.lhmAt + LHM_CLEAN_MS : Infinity;
  for (const node of d.peers.keys()) next = Math.min(next, judge(d, node, court));
  return next;
}

/** Raises the local health multiplier: this node may be the sick one. */
export function doubtSelf(d: Draft): void {
  d.lhm = Math.min(LHM_MAX, d.lhm + 1);
  d.lhmAt = d.now;
}

/** The peer gave a sign of life through a probe: the own accusation falls. */
export function prove(d: Draft, node: NodeId): void {
  const peer = d.peers.get(node);
  if (peer === undefined) return;
  patch(d, node, { provenAt: d.now, ...acquitted(d, peer), why: 'answered a probe' });
}

/** Fields of a peer whose accusation by this node falls. */
export function acquitted(d: Draft, peer: Peer): Partial<Peer> {
  return {
    ownSince: null,
    softSince: null,
    agreedAt: null,
    probe: null,
    order: peer.order.filter((name) => name !== d.config.node),
  };
}

/** A connection closed by the other side: suspected at once, here only, until a probe or silence confirms or refutes it. */
export function softSuspect(d: Draft, node: NodeId): void {
  const peer = d.peers.get(node);
  if (peer === undefined || peer.record.boot === 0 || (peer.record.state !== 'alive' && peer.record.state !== 'suspect')) return;
  if (d.now >= d.quietUntil) patch(d, node, { softSince: d.now, why: 'its connection was closed' });
  probeRound(d, node);
}

/** This node accuses the peer, and says so. */
export function accuse(d: Draft, node: NodeId, why: string): void {
  const peer = d.peers.get(node);
  if (peer === undefined || peer.ownSince !== null) return;
  const self = d.config.node;
  patch(d, node, {
    ownSince: d.now,
    why,
    record: { ...peer.record, state: 'suspect' },
    order: peer.order.includes(self) ? peer.order : [...peer.order, self],
  });
  tell(d, node, self);
  hurry(d);
  const since = d.peers.get(node)?.probe?.at ?? -Infinity;
  if (d.now - since >= PROBE_MS) probeRound(d, node);
}

/** Counts an indirect probe's answer. A round without any answer at all says more about this node than about the target. */
export function countProbe(d: Draft, node: NodeId, ack: boolean | null): void {
  const peer = d.peers.get(node);
  if (peer === undefined) return;
  if (ack === true) {
    prove(d, node);
    return;
  }
  if (peer.probe === null) return;
  const probe = { ...peer.probe, nacks: peer.probe.nacks + (ack === false ? 1 : 0), lost: peer.probe.lost + (ack === null ? 1 : 0) };
  patch(d, node, { probe });
  if (probe.asked > 0 && probe.lost === probe.asked) doubtSelf(d);
}

/** The silence limit of a peer right now. */
function limitOf(d: Draft, peer: Peer, court: Court): number {
  return silenceLimitMs(court.speakers.has(peer.node) ? d.config.heartbeatMs : court.restMs, peer.jitterMs, d.lhm);
}

function judge(d: Draft, node: NodeId, court: Court): number {
  const peer = d.peers.get(node);
  if (peer === undefined || peer.reaped || peer.record.boot === 0) return Infinity;
  if (peer.record.state === 'dead' || peer.record.state === 'left') return judgeEnded(d, peer);
  const limitMs = limitOf(d, peer, court);
  const lastAt = Math.max(peer.heardAt, peer.provenAt, peer.baseAt);
  if (peer.ownSince === null && d.now - lastAt > limitMs) accuse(d, node, `silent for ${Math.round(d.now - lastAt)} ms`);
  const accused = d.peers.get(node) ?? peer;
  if (accused.ownSince !== null) return judgeAccused(d, accused, court);
  const probeAt = probeDueAt(accused, lastAt + limitMs / 2);
  if (d.now >= probeAt) probeRound(d, node);
  return Math.min(lastAt + limitMs + 1, probeDueAt(d.peers.get(node) ?? accused, lastAt + limitMs / 2), judgeHearsay(d, accused, court));
}

/** A peer known to live by probes only (no link to it) is asked again before its silence becomes a suspicion. */
function probeDueAt(peer: Peer, notBefore: number): number {
  const detached = peer.softSince !== null || (!peer.linked && peer.provenAt > peer.heardAt);
  return detached ? Math.max(notBefore, (peer.probe?.at ?? -Infinity) + PROBE_MS) : Infinity;
}

function judgeAccused(d: Draft, peer: Peer, court: Court): number {
  const since = peer.ownSince ?? d.now;
  if (d.now - since >= ALONE_MS) return die(d, peer, `no sign of life for ${ALONE_MS} ms of suspicion`);
  const agreed = agreement(d, peer, court);
  if (agreed !== null && d.now - agreed >= AGREED_MS) return die(d, peer, `${peer.order.length} nodes agree`);
  const probeAt = (peer.probe?.at ?? -Infinity) + PROBE_MS;
  if (d.now >= probeAt) probeRound(d, peer.node);
  return Math.min(since + ALONE_MS, agreed === null ? Infinity : agreed + AGREED_MS, d.now >= probeAt ? d.now + PROBE_MS : probeAt);
}

/** Only beyond 16 nodes: those the suspect does not speak to often follow those it does. */
function judgeHearsay(d: Draft, peer: Peer, court: Court): number {
  if (peer.record.state !== 'suspect') return Infinity;
  const freshUntil = Math.max(peer.heardAt, peer.provenAt) + silenceLimitMs(d.config.heartbeatMs, peer.jitterMs, d.lhm);
  if (court.speakers.has(peer.node)) return freshUntil > d.now ? freshUntil + 1 : Infinity;
  if (freshUntil >= d.now) {
    patch(d, peer.node, { agreedAt: null });
    return freshUntil + 1;
  }
  const agreed = agreement(d, peer, court);
  if (agreed === null) return Infinity;
  return d.now - agreed >= AGREED_MS ? die(d, peer, `${peer.order.length} nodes agree`) : agreed + AGREED_MS;
}

/** Since when at least min(2, n-2) others, themselves alive, accuse the peer. With two nodes there are no others. */
function agreement(d: Draft, peer: Peer, court: Court): number | null {
  const need = Math.min(2, court.n - 2);
  const others = peer.order.filter((name) => name !== d.config.node && d.peers.get(name)?.record.state === 'alive').length;
  const agreed = need >= 1 && others >= need ? (peer.agreedAt ?? d.now) : null;
  if (agreed !== peer.agreedAt) patch(d, peer.node, { agreedAt: agreed });
  return agreed;
}

function die(d: Draft, peer: Peer, why: string): number {
  patch(d, peer.node, {
    record: { ...peer.record, state: 'dead' },
    ownSince: null,
    softSince: null,
    agreedAt: null,
    probe: null,
    why,
    endedAt: d.now,
  });
  d.dirty = true;
  tell(d, peer.node, d.config.node);
  hurry(d);
  return d.now + REAP_MS;
}

function judgeEnded(d: Draft, peer: Peer): number {
  if (peer.fixed) return Infinity;
  if (d.now - peer.endedAt < REAP_MS) return peer.endedAt + REAP_MS;
  patch(d, peer.node, { reaped: true, frame: null, order: [], rival: null });
  return Infinity;
}

/** Asks min(3, n-2) other live peers to probe the target freshly, and tries it directly. */
function probeRound(d: Draft, target: NodeId): void {
  const vias = [...d.peers.values()]
    .filter((peer) => peer.node !== target && peer.linked && peer.shown === 'alive')
    .map((peer) => peer.node);
  const turn = sample(vias, PROBE_VIAS, d.seed);
  d.seed = turn.seed;
  patch(d, target, { probe: { at: d.now, asked: turn.picked.length, acks: 0, nacks: 0, lost: 0 } });
  d.effects.push({ k: 'directProbe', target });
  for (const via of turn.picked) d.effects.push({ k: 'indirectProbe', via, target });
}
