// Heartbeats and what rides on them. A round goes to every linked target; an update rides along for 4*ceil(log10(n+1)) rounds.
// A target that is held suspect or dead gets its own record with every frame, so that it can refute at once.
import type { NodeId } from '../types.ts';
import {
  ALL_TO_ALL_MAX,
  BEAT_GAP_MS,
  ROTATION_BATCH,
  ROTATION_MS,
  ROUNDS_MAX,
  SPREAD_MAX,
  spreadTimes,
  UPDATES_OUT_MAX,
} from './limits.ts';
import { nextRandom } from './random.ts';
import { ageMs, countLive, currentDigest, currentRing, type Draft, type Peer, selfUpdate, spreadOf, updateOf } from './state.ts';
import type { MemberUpdate } from './types.ts';

const RIVAL_FRESH_MS = 2_000;

/** Queues news about a node; `by` is the accuser the line shall name. The oldest news falls out when there is too much. */
export function tell(d: Draft, node: NodeId, by: NodeId): void {
  const key = `${node}|${by}`;
  const spread = spreadOf(d);
  spread.delete(key);
  spread.set(key, { node, by, left: spreadTimes(countLive(d.peers)) });
  if (spread.size <= SPREAD_MAX) return;
  const [oldest] = spread.keys();
  if (oldest !== undefined) spread.delete(oldest);
}

/** Brings the next round forward. */
export function hurry(d: Draft): void {
  d.nextBeatAt = Math.min(d.nextBeatAt, Math.max(d.now, d.beatAt + BEAT_GAP_MS));
}

/** Sends a round when it is due, and schedules the next one. */
export function beatWhenDue(d: Draft): void {
  if (d.now < d.nextBeatAt) return;
  const targets = targetsOf(d);
  d.seq += 1;
  d.rounds = [...d.rounds.slice(1 - ROUNDS_MAX), { seq: d.seq, at: d.now }];
  d.beatAt = d.now;
  const turn = nextRandom(d.seed);
  d.seed = turn.seed;
  d.nextBeatAt = d.now + d.config.heartbeatMs * (0.9 + 0.2 * turn.value);
  if (targets.length === 0) return;
  const news = takeNews(d);
  const digest = currentDigest(d);
  for (const peer of targets) {
    d.effects.push({
      k: 'heartbeat',
      to: peer.node,
      seq: d.seq,
      echoSeq: peer.heardSeq,
      echoDelayMs: peer.heardSeq === 0 ? 0 : ageMs(d.now, peer.heardAt),
      updates: [...personal(d, peer), ...news].slice(0, UPDATES_OUT_MAX),
      digest,
      inc: d.inc,
    });
  }
}

/** Linked peers whose turn it is. */
function targetsOf(d: Draft): readonly Peer[] {
  const linked = [...d.peers.values()].filter((peer) => peer.linked);
  const { live, successors } = currentRing(d);
  if (live.length < ALL_TO_ALL_MAX) return linked;
  const always = new Set([...successors, ...d.hubs]);
  const rest = linked.filter((peer) => !always.has(peer.node));
  return [...linked.filter((peer) => always.has(peer.node)), ...rotate(d, rest)];
}

function rotate(d: Draft, rest: readonly Peer[]): readonly Peer[] {
  if (d.now < d.rotateAt || rest.length === 0) return [];
  d.rotateAt = d.now + ROTATION_MS;
  const from = d.rotation % rest.length;
  d.rotation = from + ROTATION_BATCH;
  return [...rest.slice(from), ...rest.slice(0, from)].slice(0, ROTATION_BATCH);
}

/** The news of this round, each counted down once. */
function takeNews(d: Draft): readonly MemberUpdate[] {
  const news: MemberUpdate[] = [];
  if (d.spread.size === 0) return news;
  const spread = spreadOf(d);
  for (const [key, item] of spread) {
    if (news.length >= UPDATES_OUT_MAX) break;
    if (item.left <= 1) spread.delete(key);
    else spread.set(key, { ...item, left: item.left - 1 });
    const line = lineOf(d, item.node, item.by);
    if (line !== null && !news.some((other) => other.node === line.node && other.by === line.by)) news.push(line);
  }
  return news;
}

/** The line as it stands now: news is read when it is sent, so it is never older than the table. */
function lineOf(d: Draft, node: NodeId, by: NodeId): MemberUpdate | null {
  if (node === d.config.node) return selfUpdate(d);
  const peer = d.peers.get(node);
  return peer === undefined || peer.reaped || peer.record.boot === 0 ? null : updateOf(peer, d.config.node, d.now, by);
}

/** What this peer must hear of itself: a suspicion to refute, or another live process under its name. */
function personal(d: Draft, peer: Peer): readonly MemberUpdate[] {
  const lines: MemberUpdate[] = [];
  const { state, boot } = peer.record;
  const rival = peer.rival !== null && d.now - peer.rival.at < RIVAL_FRESH_MS ? peer.rival : null;
  if (boot > 0 && (rival !== null || state === 'suspect' || state === 'dead')) lines.push(updateOf(peer, d.config.node, d.now));
  if (rival !== null) {
    const { node } = peer;
    const address = addressOfRival(peer, rival.boot);
    lines.push({ node, boot: rival.boot, inc: rival.inc, state: 'alive', by: d.config.node, ageMs: ageMs(d.now, rival.at), address });
  }
  return lines;
}

/** Where the older one of two processes under a name listens; '' = never heard. */
export function addressOfRival(peer: Peer, boot: number): string {
  return peer.former?.boot === boot ? peer.former.address : '';
}
