// Who holds the lease, as this node knows it: by its own claim, by a majority of Redis records, or by the holder's own frame.
// Each change becomes one line of history on every node.
import { holderSeen } from './lease/view.ts';
import { membersOf } from './membership/machine.ts';
import { type Draft, type Holder, log } from './state.ts';
import type { Now } from './types.ts';

/** Takes newer evidence of the holder into account. Older epochs never replace newer ones. */
export function noticeHolder(d: Draft, now: Now): void {
  const self = d.config.self.node;
  const before = d.holder;
  let next: Holder = before;
  for (const m of membersOf(d.membership)) {
    const f = m.frame;
    // Only the holder itself is believed about the how; what others repeat of it is not needed.
    if (f !== null && f.role === 'active' && f.lease.holder === m.node && f.lease.epoch >= next.epoch && m.node !== self) {
      next = { node: m.node, epoch: f.lease.epoch, cause: f.lease.cause, from: f.lease.from };
    }
  }
  const seen = holderSeen(d.lease, now);
  if (seen !== null && !seen.released && seen.epoch > next.epoch && seen.node !== self) {
    next = { node: seen.node, epoch: seen.epoch, cause: '', from: before.node };
  }
  if (d.lease.phase.tag === 'active' && d.lease.phase.epoch >= next.epoch) next = { ...before, node: self, epoch: d.lease.phase.epoch };
  else if (seen?.released === true && seen.epoch >= next.epoch) next = { ...next, node: '', epoch: seen.epoch };
  else if (seen === null && d.lease.phase.tag !== 'active' && next.node === self) next = { ...next, node: '' };
  d.holder = next;
  // Who answered for the address before says nothing of who does now.
  if (next.node !== before.node && d.wire !== null) d.wire = { ...d.wire, macs: [] };
  record(d, before, now);
}

// A line is due when the cause is known: at once for the own claim, with the holder's first frame for another's.
function record(d: Draft, before: Holder, now: Now): void {
  const { node, epoch, cause, from } = d.holder;
  if (node === '' || cause === '' || epoch <= d.recordedEpoch) return;
  d.recordedEpoch = epoch;
  const mine = node === d.config.self.node;
  const planned = d.lastYield !== null && d.lastYield.heir === node;
  d.effects.push({
    k: 'history',
    entry: {
      epoch,
      from,
      to: node,
      cause: planned && d.lastYield !== null ? d.lastYield.cause : cause,
      reason: mine ? d.leaseReason : `told by ${node}`,
      by: planned && d.lastYield !== null ? d.lastYield.by : '',
      atMs: now.wall,
      phasesMs: mine ? d.phasesMs : {},
    },
  });
  if (before.node !== node)
    log(d, 'info', 'holder_changed', `${node} is active under epoch ${epoch} (${cause})`, { epoch, from, to: node });
}
