// What a line of gossip, or a frame, changes in the table.
import type { NodeId } from '../types.ts';
import { ACCUSERS_MAX, DUPLICATE_AFTER_MS, DUPLICATE_MS, GRACE_MS, PEERS_MAX, plausible } from './limits.ts';
import { compareAge, type MemberRecord, merge, recordOf, sameRecord } from './merge.ts';
import { hurry, tell } from './spread.ts';
import { type Draft, dropPeer, newPeer, type Peer, patch, putPeer } from './state.ts';
import { doubtSelf } from './suspicion.ts';
import type { MemberUpdate } from './types.ts';

/** Takes one gossiped line. Lines about this node itself are answered, lines that no honest node writes are dropped. */
export function learn(d: Draft, update: MemberUpdate): void {
  if (!plausible(update.boot, update.inc)) return;
  if (update.node === d.config.node) {
    hearOfSelf(d, update);
    return;
  }
  const known = d.peers.get(update.node);
  if (known === undefined && (update.state === 'dead' || update.state === 'left')) return;
  const peer = known ?? admit(d, update.node, update.address);
  if (peer === null) return;
  const heard = recordOf(update);
  const claim = { ...heard, accusers: heard.accusers.filter((name) => isOther(d, name, update.node)) };
  learnAddress(d, peer, update, claim);
  absorb(d, update.node, claim, whyOf(update), false);
}

/** Joins a claim into the table. `firsthand`: it came in a frame of the node itself. */
export function absorb(d: Draft, node: NodeId, claim: MemberRecord, why: string, firsthand: boolean): void {
  const peer = d.peers.get(node);
  if (peer === undefined) return;
  const record = merge(peer.record, claim);
  if (sameRecord(record, peer.record)) return;
  const newer = compareAge(record, peer.record) > 0;
  const order = newer ? record.accusers : appended(peer.order, record.accusers);
  const fresh = record.accusers.filter((name) => newer || !peer.order.includes(name));
  patch(d, node, { record, order, why, ...(newer ? renewed(d, peer, record, firsthand) : {}), ...endedFields(d, peer, record) });
  d.dirty = true;
  if (fresh.length === 0) tell(d, node, node);
  for (const by of fresh) tell(d, node, by);
  if (fresh.length > 0) hurry(d);
}

/** A row for a node not seen before; null when the table is full. Tombstones make room, oldest first. */
export function admit(d: Draft, node: NodeId, address: string): Peer | null {
  if (d.peers.size >= PEERS_MAX && !dropTombstone(d)) {
    d.refused += 1;
    return null;
  }
  const peer = newPeer(node, address, false, d.now);
  putPeer(d, peer);
  return peer;
}

/** Raises the alarm about a second live process under one name, not more often than each 5 s. */
export function alarm(d: Draft, node: NodeId, boot: number, address: string): void {
  const last = node === d.config.node ? d.alarmedAt : (d.peers.get(node)?.alarmedAt ?? -Infinity);
  if (d.now - last < DUPLICATE_MS) return;
  if (node === d.config.node) d.alarmedAt = d.now;
  else patch(d, node, { alarmedAt: d.now });
  d.effects.push({ k: 'duplicateNode', node, boot, address });
}

/** Gossip about this node: an accusation is refuted by a higher incarnation, another process under its name raises the alarm. */
function hearOfSelf(d: Draft, update: MemberUpdate): void {
  const { boot } = d.config;
  if (update.boot !== boot) {
    const heardAfterStart = d.now - update.ageMs - d.startedAt > DUPLICATE_AFTER_MS;
    if (heardAfterStart && (update.state === 'alive' || update.state === 'suspect')) alarm(d, update.node, update.boot, update.address);
    return;
  }
  if (d.leaving || update.inc < d.inc) return;
  if (update.state === 'alive' && update.inc === d.inc) return;
  d.inc = update.state === 'alive' ? update.inc : Math.max(d.inc, update.inc) + 1;
  d.dirty = true;
  tell(d, d.config.node, d.config.node);
  hurry(d);
  if (update.state !== 'alive') doubtSelf(d);
}

/** An accuser counts when it is a third node that is known here. */
function isOther(d: Draft, name: NodeId, target: NodeId): boolean {
  return name !== target && name !== d.config.node && d.peers.has(name);
}

function learnAddress(d: Draft, peer: Peer, update: MemberUpdate, claim: MemberRecord): void {
  if (update.address === '' || update.address === peer.address || compareAge(claim, peer.record) < 0) return;
  if (update.by === update.node || peer.address === '')
    patch(d, peer.node, { address: update.address, dialledAt: -Infinity, former: formerOf(peer, claim) });
}

/** A newer process replaces the known one: remember where that one listens. */
function formerOf(peer: Peer, claim: MemberRecord): Peer['former'] {
  const { boot } = peer.record;
  return boot === 0 || claim.boot === boot || peer.former?.boot === boot ? peer.former : { boot, address: peer.address };
}

/** Fields that a new incarnation resets: old accusations are void; a new process also starts counting anew. */
function renewed(d: Draft, peer: Peer, record: MemberRecord, firsthand: boolean): Partial<Peer> {
  const graceMs = firsthand || peer.linked ? 0 : GRACE_MS;
  const again: Partial<Peer> = { ownSince: null, softSince: null, agreedAt: null, probe: null, reaped: false, baseAt: d.now + graceMs };
  if (record.boot === peer.record.boot) return again;
  return {
    ...again,
    former: formerOf(peer, record),
    heardAt: -Infinity,
    provenAt: -Infinity,
    heardSeq: 0,
    jitterMs: 0,
    rttMs: null,
    frame: null,
  };
}

function endedFields(d: Draft, before: Peer, record: MemberRecord): Partial<Peer> {
  const ended = record.state === 'left' || record.state === 'dead';
  return ended && before.record.state !== record.state ? { endedAt: d.now, ownSince: null, softSince: null, agreedAt: null } : {};
}

function appended(order: readonly NodeId[], accusers: readonly NodeId[]): readonly NodeId[] {
  return [...order, ...accusers.filter((name) => !order.includes(name))].slice(0, ACCUSERS_MAX + 1);
}

function dropTombstone(d: Draft): boolean {
  let oldest: Peer | null = null;
  for (const peer of d.peers.values()) if (peer.reaped && (oldest === null || peer.endedAt < oldest.endedAt)) oldest = peer;
  return oldest !== null && dropPeer(d, oldest.node);
}

function whyOf(update: MemberUpdate): string {
  if (update.state === 'alive') return update.by === update.node ? 'says it is alive' : 'alive by gossip';
  return update.by === update.node ? 'left' : `accused by ${update.by}`;
}
