// The ordinary heartbeat: a living peer says again what it said before. It moves the peer's time of life and nothing else, and of a hundred
// messages it is ninety-nine; so it is taken here, without a look at everybody else. Whatever is the least unusual goes the whole way.
import type { NodeId, Now } from '../types.ts';
import { creditFrame } from './frames.ts';
import { understands } from './protocol.ts';
import { draftOf, type MembershipState, type Peer, stateOf } from './state.ts';
import type { Frame } from './types.ts';

/** The state after an ordinary heartbeat; null = it is not one, or something is due now. */
export function takeQuietly(state: MembershipState, from: NodeId, frame: Frame, now: Now): MembershipState | null {
  const peer = state.peers.get(from);
  if (peer === undefined || now.mono >= state.wakeAt || now.mono < state.quietUntil) return null;
  if (!isAtEase(peer) || !continues(state, peer, from, frame) || !saysTheSame(peer.frame, frame)) return null;
  const d = draftOf(state, now);
  creditFrame(d, from, frame);
  return stateOf(d);
}

function isAtEase(peer: Peer): boolean {
  return (
    peer.linked &&
    peer.shown === 'alive' &&
    peer.record.state === 'alive' &&
    peer.ownSince === null &&
    peer.softSince === null &&
    peer.rival === null &&
    peer.foreign === null &&
    peer.order.length === 0
  );
}

function continues(state: MembershipState, peer: Peer, from: NodeId, frame: Frame): boolean {
  return (
    frame.node === from &&
    frame.cluster === state.config.cluster &&
    understands(frame) &&
    frame.boot === peer.record.boot &&
    frame.inc === peer.record.inc &&
    frame.seq > peer.heardSeq &&
    frame.updates.length === 0 &&
    frame.digest === state.digest
  );
}

/** Everything that another part of the core would answer at once. Ages, loads and the like are read at the next turn anyway. */
function saysTheSame(a: Frame | null, b: Frame): boolean {
  return (
    a !== null &&
    a.role === b.role &&
    a.leaving === b.leaving &&
    a.maxEpoch === b.maxEpoch &&
    a.rosterVersion === b.rosterVersion &&
    a.inventoryVersion === b.inventoryVersion &&
    a.settingsVersion === b.settingsVersion &&
    a.settingsHash === b.settingsHash &&
    a.serversReached === b.serversReached &&
    a.lease.epoch === b.lease.epoch &&
    a.lease.holder === b.lease.holder &&
    a.lease.holderBoot === b.lease.holderBoot &&
    a.lease.mode === b.lease.mode &&
    a.lease.cause === b.lease.cause &&
    Object.keys(a.lease.phasesMs).length === Object.keys(b.lease.phasesMs).length &&
    a.view.candidate === b.view.candidate &&
    a.view.nofailover === b.view.nofailover &&
    a.view.draining === b.view.draining &&
    a.view.ollama === b.view.ollama &&
    a.view.fence === b.view.fence &&
    a.view.vip === b.view.vip &&
    a.view.priority === b.view.priority &&
    a.view.vetoes.length === b.view.vetoes.length &&
    a.view.vetoes.every((veto, i) => veto === b.view.vetoes[i])
  );
}
