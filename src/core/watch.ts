// Who holds the lease, as this node knows it: by its own claim, by a majority of Redis records, or by the holder's own frame.
// Each change becomes one line of history on every node.
import { isFailure, withLoss } from './flap.ts';
import { holderSeen } from './lease/view.ts';
import { membersOf } from './membership/machine.ts';
import type { LeaseView } from './membership/types.ts';
import { type CoreState, type Draft, type Holder, log } from './state.ts';
import type { NodeId, Now } from './types.ts';

/** Takes newer evidence of the holder into account. Older epochs never replace newer ones. */
export function noticeHolder(d: Draft, now: Now): void {
  const self = d.config.self.node;
  const before = d.holder;
  let next: Holder = before;
  for (const m of membersOf(d.membership)) {
    const f = m.frame;
    // Only the holder itself is believed about the how; what others repeat of it is not needed.
    if (f !== null && f.role === 'active' && f.lease.holder === m.node && f.lease.epoch >= next.epoch && m.node !== self) {
      if (saysNothingNew(next, f.lease)) continue;
      next = {
        node: m.node,
        epoch: f.lease.epoch,
        cause: f.lease.cause,
        from: f.lease.from,
        by: f.lease.by,
        phasesMs: f.lease.phasesMs,
        since: 0,
      };
    }
  }
  const seen = holderSeen(d.lease, now);
  if (seen !== null && !seen.released && seen.epoch > next.epoch && seen.node !== self) {
    next = { node: seen.node, epoch: seen.epoch, cause: '', from: before.node, by: '', phasesMs: {}, since: 0 };
  }
  if (d.lease.phase.tag === 'active' && d.lease.phase.epoch >= next.epoch)
    next = isHolder(before, self, d.lease.phase.epoch) ? before : { ...before, node: self, epoch: d.lease.phase.epoch };
  else if (seen?.released === true && seen.epoch >= next.epoch) next = { ...next, node: '', epoch: seen.epoch };
  else if (seen === null && d.lease.phase.tag !== 'active' && next.node === self) next = { ...next, node: '' };
  // Most turns bring nothing new: then nothing is copied.
  if (next !== before) d.holder = { ...next, since: next.epoch === before.epoch ? before.since : now.mono };
  // Who answered for the address before says nothing of who does now.
  if (next.node !== before.node && d.wire !== null) d.wire = { ...d.wire, macs: [] };
  record(d, before, now);
}

function isHolder(known: Holder, node: NodeId, epoch: number): boolean {
  return known.node === node && known.epoch === epoch;
}

function saysNothingNew(known: Holder, said: LeaseView): boolean {
  const { holder, epoch, cause, from, by, phasesMs } = said;
  return isHolder(known, holder, epoch) && known.cause === cause && known.from === from && known.by === by && known.phasesMs === phasesMs;
}

// A line is due when the cause is known: at once for the own claim, with the holder's first frame for another's.
function record(d: Draft, before: Holder, now: Now): void {
  const { node, epoch, cause, from } = d.holder;
  if (node === '' || cause === '' || epoch <= d.recordedEpoch || addressAwaited(d, now) || timesAwaited(d, now)) return;
  d.recordedEpoch = epoch;
  const mine = node === d.config.self.node;
  const own = d.lastYield !== null && d.lastYield.heir === node && d.holder.from === d.config.self.node ? d.lastYield : null;
  const told = own?.cause ?? cause;
  if (from !== '' && isFailure(told)) d.losses = withLoss(d.losses, from, now.mono);
  d.effects.push({
    k: 'history',
    entry: {
      epoch,
      from,
      to: node,
      cause: told,
      reason: mine ? d.leaseReason : `told by ${node}`,
      by: own?.by ?? d.holder.by,
      atMs: now.wall,
      phasesMs: mine ? phasesOf(d) : d.holder.phasesMs,
    },
    publish: mine,
  });
  if (before.node !== node)
    log(d, 'info', 'holder_changed', `${node} is active under epoch ${epoch} (${cause})`, { epoch, from, to: node });
}

// The own line waits for the address, so that it can name how long that took.
const ADDRESS_MS_MAX = 2000;

function addressAwaited(d: Draft, now: Now): boolean {
  const { claimed, lease } = d;
  if (claimed === null || claimed.epoch !== d.holder.epoch || d.config.vip === 'none' || lease.phase.tag !== 'active') return false;
  return d.granted < claimed.epoch && now.mono - claimed.at < ADDRESS_MS_MAX;
}

// The holder tells the times once it has them; a node that joins later never hears them.
const TOLD_MS_MAX = 3000;

function timesAwaited(d: Draft, now: Now): boolean {
  const { node, phasesMs, since } = d.holder;
  return node !== d.config.self.node && Object.keys(phasesMs).length === 0 && now.mono - since < TOLD_MS_MAX;
}

/** The phases of the own move with their sum. */
export function phasesOf({ phasesMs }: Pick<CoreState, 'phasesMs'>): Readonly<Record<string, number>> {
  const { revokeMs = 0, releaseMs = 0, waitMs = 0, claimMs = 0, vipMs = 0 } = phasesMs;
  const all = { ...phasesMs, totalMs: revokeMs + releaseMs + waitMs + claimMs + vipMs };
  return Object.fromEntries(Object.entries(all).map(([name, ms]) => [name, Math.round(ms * 10) / 10]));
}
