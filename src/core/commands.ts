// What operators ask for: switchover (here or forwarded to the holder) and a clean stop. Every refusal names its vetoes.
import type { Command, PeerMessage } from './io.ts';
import { desiredOf } from './lease/machine.ts';
import type { LeaseInput } from './lease/types.ts';
import { membersOf } from './membership/machine.ts';
import { answer, type Draft, type PendingCommand } from './state.ts';
import { pausedText } from './steer.ts';
import type { NodeId, Now } from './types.ts';
import { heirOf } from './view.ts';
import { takeRemovalReply } from './waits.ts';

type Yield = Extract<LeaseInput, { k: 'yield' }>;

// A planned move takes well under a second; after this long the operator gets "unknown" instead of a guess.
const SWITCHOVER_MS_MAX = 10_000;
const PENDING_MAX = 16;

/** Takes an operator's wish. Returns the lease order it leads to here, if any. */
export function takeCommand(d: Draft, id: number, command: Extract<Command, { k: 'switchover' | 'stop' }>, now: Now): Yield | null {
  if (command.k === 'stop') return stop(d, id, now);
  if (d.pending.length >= PENDING_MAX) {
    answer(d, id, 'refused', 'too many commands are under way', { vetoes: ['wait for the running ones to end'] });
    return null;
  }
  const self = d.config.self.node;
  const { node: holder, epoch } = d.holder;
  if (d.settings.paused) {
    answer(d, id, 'refused', 'no switchover while the cluster is paused', { vetoes: [pausedText(d)], epoch });
    return null;
  }
  if (holder === '') {
    answer(d, id, 'nothing', 'there is no holder to switch over from');
    return null;
  }
  if (command.to === holder) {
    answer(d, id, 'refused', `${holder} is active already`, { vetoes: [`${holder} holds epoch ${epoch}`], epoch });
    return null;
  }
  // Also a holder that stood still: what it reads next was said before this order, and may call it done that somebody else had the role since.
  if (holder === self && !desiredOf(d.lease, now).acting) {
    answer(d, id, 'refused', 'no switchover', { vetoes: [`${self} does not act under epoch ${epoch} any more; ask again`], epoch });
    return null;
  }
  const pending: PendingCommand = {
    id,
    to: command.to,
    by: command.by,
    fromEpoch: epoch,
    startedAt: now.mono,
    giveUpAt: now.mono + SWITCHOVER_MS_MAX,
    asked: holder === self ? null : holder,
  };
  if (command.dryRun || holder === self) {
    const heir = chooseHeir(d, command.to, now);
    if ('vetoes' in heir) {
      answer(d, id, 'refused', 'no switchover', { vetoes: heir.vetoes, epoch });
      return null;
    }
    if (command.dryRun) {
      answer(d, id, 'done', `would move from ${holder} to ${heir.node}`, { epoch });
      return null;
    }
    d.pending = [...d.pending, { ...pending, to: heir.node }];
    d.lastYield = { heir: heir.node, cause: 'planned', by: command.by };
    return { k: 'yield', heir: heir.node, cause: 'planned' };
  }
  d.pending = [...d.pending, pending];
  d.effects.push({ k: 'send', to: holder, msg: { k: 'switchoverRequest', id, to: command.to, by: command.by } });
  return null;
}

/** A standby forwards an operator's wish. */
export function takeSwitchoverRequest(
  d: Draft,
  from: NodeId,
  msg: Extract<PeerMessage, { k: 'switchoverRequest' }>,
  now: Now,
): Yield | null {
  const reply = (accepted: boolean, vetoes: readonly string[]) => {
    d.effects.push({ k: 'send', to: from, msg: { k: 'switchoverReply', id: msg.id, accepted, vetoes } });
  };
  if (d.lease.phase.tag !== 'active') {
    reply(false, [`${d.config.self.node} is not the holder`]);
    return null;
  }
  const heir = d.settings.paused ? { vetoes: [pausedText(d)] } : chooseHeir(d, msg.to, now);
  if ('vetoes' in heir) {
    reply(false, heir.vetoes);
    return null;
  }
  reply(true, []);
  d.lastYield = { heir: heir.node, cause: 'planned', by: msg.by };
  return { k: 'yield', heir: heir.node, cause: 'planned' };
}

/** The holder's answer to a forwarded wish. */
export function takeSwitchoverReply(d: Draft, from: NodeId, msg: Extract<PeerMessage, { k: 'switchoverReply' }>, now: Now): void {
  const pending = d.pending.find((p) => p.id === msg.id && p.asked === from);
  if (pending === undefined) {
    takeRemovalReply(d, msg, now);
    return;
  }
  if (msg.accepted) {
    d.pending = d.pending.map((p) => (p === pending ? { ...p, asked: null } : p));
    return;
  }
  d.pending = d.pending.filter((p) => p !== pending);
  answer(d, msg.id, 'refused', pending.forced === true ? 'no failover' : 'no switchover', { vetoes: msg.vetoes, epoch: d.holder.epoch });
}

/** Ends commands whose outcome is known, or whose time is up. Not while a stall is unjudged: what is read then was said before the order. */
export function settleCommands(d: Draft, now: Now): void {
  if (d.pending.length === 0 || d.stalled) return;
  const open: PendingCommand[] = [];
  for (const p of d.pending) {
    const { node, epoch } = d.holder;
    const totalMs = Math.round(now.mono - p.startedAt);
    if (epoch > p.fromEpoch && node !== '' && d.lease.phase.tag !== 'claiming') {
      const asWished = p.to === '' || p.to === node;
      answer(d, p.id, asWished ? 'done' : 'incomplete', asWished ? `${node} is active` : `${node} took over instead of ${p.to}`, {
        epoch,
        phasesMs: { ...timesOf(d), totalMs },
      });
    } else if (now.mono >= p.giveUpAt) {
      answer(d, p.id, 'unknown', 'no new holder was seen in time; ask status again', { epoch });
    } else {
      open.push(p);
    }
  }
  d.pending = open;
}

/** Times of the newest move: the new holder's word, or those of the own release. */
function timesOf(d: Draft): Readonly<Record<string, number>> {
  const { node, phasesMs } = d.holder;
  if (Object.keys(phasesMs).length > 0) return phasesMs;
  return node === d.config.self.node || d.lastYield?.heir === node ? d.phasesMs : {};
}

function stop(d: Draft, id: number, now: Now): Yield | null {
  d.stopping = true;
  answer(d, id, 'done', 'stopping');
  if (d.lease.phase.tag !== 'active') return null;
  const heir = heirOf(d, now) ?? '';
  d.lastYield = { heir, cause: 'stop', by: '' };
  return { k: 'yield', heir, cause: 'stop' };
}

/** The heir that an operator named or, for '', the best one; or every reason against it. */
export function chooseHeir(d: Draft, wish: NodeId | '', now: Now): { node: NodeId } | { vetoes: readonly string[] } {
  if (wish === '') {
    const best = heirOf(d, now);
    return best === null ? { vetoes: ['no other node may take over; see agentctl explain NODE'] } : { node: best };
  }
  const member = membersOf(d.membership).find((m) => m.node === wish);
  if (member === undefined) return { vetoes: [`${wish} is not a member of this cluster`] };
  if (member.state !== 'alive' || member.frame === null)
    return { vetoes: [`${wish} is ${member.frame === null ? 'not heard yet' : member.state}`] };
  const { vetoes, youngMs } = member.frame.view;
  if (vetoes.length > 0) return { vetoes: vetoes.map((v) => `${wish}: ${v}`) };
  if (youngMs > 0) return { vetoes: [`${wish} started too recently: ${youngMs} ms more`] };
  return { node: wish };
}
