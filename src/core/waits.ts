// Orders that are under way: each turn looks whether their end is reached, and answers the operator when it is.
import type { PeerMessage } from './io.ts';
import { handOnOf } from './lease/handon.ts';
import type { LeaseInput } from './lease/types.ts';
import { removeNode } from './members.ts';
import { stepMembership } from './membership/machine.ts';
import { answer, type Draft, log, type Wait } from './state.ts';
import { unconfirmed } from './steer.ts';
import type { Now } from './types.ts';
import { heirOf } from './view.ts';

// The holder answers within a round to Redis; a lost question is asked again.
const ASK_EVERY_MS = 300;

type WaitOf<K extends Wait['k']> = Extract<Wait, { k: K }>;
/** What a look at a wait came to: over, or to be looked at again, with an order to the lease on the way. */
type Look = { readonly next: Wait | null; readonly order: LeaseInput | null };

const OVER: Look = { next: null, order: null };

/** Looks at every wait. Returns the order one of them needs now, if any. */
export function settleWaits(d: Draft, now: Now): LeaseInput | null {
  if (d.waits.length === 0) return null;
  const open: Wait[] = [];
  let order: LeaseInput | null = null;
  for (const entry of d.waits) {
    const look: Look = order === null ? lookAt(d, entry, now) : { next: entry, order: null };
    if (look.next !== null) open.push(look.next);
    order ??= look.order;
  }
  d.waits = open;
  return order;
}

function lookAt(d: Draft, entry: Wait, now: Now): Look {
  switch (entry.k) {
    case 'confirm':
      return confirm(d, entry, now);
    case 'drain':
      return drain(d, entry, now);
    case 'remove':
      return remove(d, entry, now);
    case 'handOn':
      return handOn(d, entry, now);
  }
}

function handOn(d: Draft, entry: WaitOf<'handOn'>, now: Now): Look {
  const { epoch } = d.holder;
  if (handOnOf(d.lease, entry.since, now) !== null) answer(d, entry.id, 'done', 'the lease can be handed on', { epoch });
  else if (d.lease.phase.tag !== 'active') answer(d, entry.id, 'nothing', 'this node does not hold the lease', { epoch });
  else if (now.mono >= entry.giveUpAt)
    answer(d, entry.id, 'refused', 'the lease is not handed on', { vetoes: ['it could not be renewed in time'], epoch });
  else return { next: entry, order: null };
  return OVER;
}

function confirm(d: Draft, entry: WaitOf<'confirm'>, now: Now): Look {
  const missing = unconfirmed(d);
  if (missing.length === 0) answer(d, entry.id, 'done', `${entry.text}; confirmed by every living node`, { epoch: d.holder.epoch });
  else if (now.mono >= entry.giveUpAt) {
    const vetoes = missing.map((node) => `${node} has not confirmed`);
    answer(d, entry.id, 'incomplete', `${entry.text}; not every living node has confirmed`, { vetoes, epoch: d.holder.epoch });
  } else return { next: entry, order: null };
  return OVER;
}

function drain(d: Draft, entry: WaitOf<'drain'>, now: Now): Look {
  const { node, epoch } = d.holder;
  if (node !== entry.node && node !== '') {
    const late = entry.untilMs > 0 && now.wall >= entry.untilMs;
    if (late) answer(d, entry.id, 'incomplete', `${node} is active; the deadline passed with requests open at ${entry.node}`, { epoch });
    else answer(d, entry.id, 'done', `${entry.node} is drained, ${node} is active`, { epoch });
    return OVER;
  }
  if (now.mono < entry.giveUpAt) return { next: entry, order: null };
  answer(d, entry.id, 'incomplete', `${entry.node} is still active`, { vetoes: [d.stuck || 'no other node took over in time'], epoch });
  return OVER;
}

function remove(d: Draft, entry: WaitOf<'remove'>, now: Now): Look {
  const self = d.config.self.node;
  if (now.mono >= entry.giveUpAt) {
    if (entry.leaving) d.left = false;
    answer(d, entry.id, 'unknown', 'the holder did not change the roster in time; ask again', { epoch: d.holder.epoch });
    return OVER;
  }
  const { tag } = d.lease.phase;
  if (entry.leaving) {
    if (tag === 'active' && !entry.yielded) return yieldFirst(d, entry, now);
    if (tag !== 'follower') return { next: entry, order: null };
    d.left = true;
  } else if (tag === 'active') {
    const removal = removeNode(d, entry.node, false);
    if (removal.k === 'open') return { next: entry, order: removal.order };
    if (removal.k === 'refused') answer(d, entry.id, 'refused', `${entry.node} is not forgotten`, { vetoes: removal.vetoes });
    else removed(d, entry, now);
    return OVER;
  }
  const holder = d.holder.node;
  if (holder === '' || holder === self || now.mono - entry.askedAt < ASK_EVERY_MS) return { next: entry, order: null };
  const { id, node, by, leaving } = entry;
  d.effects.push({ k: 'send', to: holder, msg: { k: 'rosterRequest', id, node, by, leaving, boot: d.config.self.boot } });
  return { next: { ...entry, askedAt: now.mono }, order: null };
}

/** A holder that leaves gives the role up first, and stays while nobody can take it. */
function yieldFirst(d: Draft, entry: WaitOf<'remove'>, now: Now): Look {
  const heir = heirOf(d, now);
  if (heir === null) {
    answer(d, entry.id, 'refused', `${entry.node} is active and stays`, {
      vetoes: ['no other node may take over; see agentctl explain NODE'],
    });
    return OVER;
  }
  d.left = true;
  d.lastYield = { heir, cause: 'planned', by: entry.by };
  return { next: { ...entry, yielded: true }, order: { k: 'yield', heir, cause: 'planned' } };
}

function removed(d: Draft, entry: WaitOf<'remove'>, now: Now): void {
  const { node } = entry;
  if (entry.leaving) {
    d.free = true;
    answer(d, entry.id, 'done', `${node} has left the cluster; its agent joins again when it is started again`, { epoch: d.holder.epoch });
  } else {
    const turn = stepMembership(d.membership, { k: 'forget', node }, now);
    d.membership = turn.state;
    answer(d, entry.id, 'done', `${node} is forgotten`, { epoch: d.holder.epoch });
  }
  log(d, 'info', 'roster_removed', `${node} is out of the roster`, { node, by: entry.by });
}

/** The holder's answer to the wish to take a node out. */
export function takeRemovalReply(d: Draft, msg: Extract<PeerMessage, { k: 'switchoverReply' }>, now: Now): void {
  const entry = d.waits.find((w) => w.id === msg.id);
  if (entry === undefined || entry.k !== 'remove' || entry.askedAt === Number.NEGATIVE_INFINITY) return;
  // A node that is no longer the holder refuses; the next question goes to the one that is.
  if (!msg.accepted && msg.vetoes.some((veto) => veto.endsWith('is not the holder'))) return;
  d.waits = d.waits.filter((w) => w !== entry);
  if (msg.accepted) removed(d, entry, now);
  else {
    if (entry.leaving) d.left = false;
    answer(d, msg.id, 'refused', entry.leaving ? `${entry.node} stays` : `${entry.node} is not forgotten`, {
      vetoes: msg.vetoes,
      epoch: d.holder.epoch,
    });
  }
}
