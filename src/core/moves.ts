// When the role must move although the lease is sound: the local Ollama died, the holder alone lost Redis, the address is gone from its interface.
// The role never moves to a worse node (H3): without an eligible heir it stays, and says so.

import { majorityOf } from './lease/timing.ts';
import type { LeaseInput, YieldCause } from './lease/types.ts';
import { membersOf } from './membership/machine.ts';
import { type Draft, log } from './state.ts';
import { maintenanceOf, maintenanceText, pausedText } from './steer.ts';
import type { NodeId, Now } from './types.ts';
import { fitterOf, heirOf, serversReached } from './view.ts';
import { nodeOfMac } from './wire.ts';

// Someone took the address off; the actuator had this long to put it back. (facts: VIP, restore or give up within 2 s)
const ADDRESS_GONE_MS = 1500;
// Neighbours may need this long to learn the new owner, and watchers to see it: two rounds of their watch.
const STRANGER_MS = 2000;

/** The order to give the role up, if it must move and somebody better stands ready. */
export function moveIfBetter(d: Draft, now: Now): Extract<LeaseInput, { k: 'yield' }> | null {
  const why = mustMove(d, now);
  if (why === null) {
    d.stuck = '';
    return null;
  }
  const heir = d.settings.paused || why.stay === true ? null : heirFor(d, why, now);
  if (heir === null) {
    const stuck = `DEGRADED (${d.settings.paused ? pausedText(d) : 'no better node'}): ${why.text}`;
    // The words count seconds: said once.
    if (d.stuck === '') log(d, 'error', 'no_better_node', stuck);
    d.stuck = stuck;
    return null;
  }
  d.stuck = '';
  d.lastYield = { heir, cause: why.cause, by: why.by ?? '' };
  log(d, 'warn', 'moving', `moving to ${heir}: ${why.text}`, { heir });
  return { k: 'yield', heir, cause: why.cause };
}

type Why = { readonly cause: YieldCause; readonly text: string; readonly by?: string; readonly stay?: true; readonly serves?: true };

function heirFor(d: Draft, why: Why, now: Now): NodeId | null {
  if (why.serves === true) return fitterOf(d, now);
  return why.cause === 'redis' ? heirWithRedis(d, now) : heirOf(d, now);
}

/** `stay`: no other node would be better off. `serves`: this node still does, so only a fitter one is better. */
function mustMove(d: Draft, now: Now): Why | null {
  d.draining = '';
  const phase = d.lease.phase;
  if (phase.tag !== 'active' || phase.lapsed) return null;
  if (d.verdict.ollama === 'down') return { cause: 'ollama', text: `ollama is down: ${d.verdict.reason}` };
  const gone =
    d.config.vip !== 'none' && d.granted === phase.epoch && d.address.present === false && now.mono - d.address.since > ADDRESS_GONE_MS;
  if (gone) return { cause: 'vip', text: 'the address was taken off the interface and could not be restored' };
  const usurped = usurpedBy(d, now);
  if (usurped !== null) return usurped;
  const other: Why | null = cutAlone(d, now) ? { cause: 'redis', text: 'this node alone is cut from Redis' } : forMaintenance(d, now);
  if (other !== null || !d.verdict.unfit) return other;
  return { cause: 'ollama', text: `ollama is ${d.verdict.ollama}: ${d.verdict.reason}`, serves: true };
}

/**
 * Only this node lost Redis. The heir's word that it reaches a majority is up to T old: when Redis is gone for all, it is still said for that
 * long, and moving then would give the role to a node that cannot claim. So the condition must have held without a break for T.
 */
function cutAlone(d: Draft, now: Now): boolean {
  const phase = d.lease.phase;
  const seems =
    phase.tag === 'active' &&
    phase.failsafeOn &&
    serversReached(d, now) < majorityOf(d.config.lease.servers) &&
    heirWithRedis(d, now) !== null;
  d.cutSince = seems ? (d.cutSince ?? now.mono) : null;
  return d.cutSince !== null && now.mono - d.cutSince >= d.config.lease.ttlMs;
}

/** All watchers see somebody else answer: clients do not reach this node. A machine that is none of ours would meet the next holder too. */
function usurpedBy(d: Draft, now: Now): ReturnType<typeof mustMove> {
  if (d.config.vip === 'none' || d.stranger === null || now.mono - d.stranger.since <= STRANGER_MS) return null;
  const { mac } = d.stranger;
  const node = nodeOfMac(d, mac);
  if (node === '') return { cause: 'vip', text: `a machine outside the cluster answers for the address: ${mac}`, stay: true };
  return { cause: 'vip', text: `split brain: ${node} (${mac}) answers for the address instead of this node` };
}

/** An operator wants this node free. A drain waits for open requests, but not beyond its deadline. */
function forMaintenance(d: Draft, now: Now): ReturnType<typeof mustMove> {
  const m = maintenanceOf(d, d.config.self.node);
  if (m === undefined) {
    d.open = null;
    return null;
  }
  const leftMs = m.drainUntilMs - now.wall;
  if (leftMs <= 0 || d.open === 0) return { cause: 'planned', text: maintenanceText(m), by: m.by };
  d.draining = `draining ${d.open === null ? 'requests' : `${d.open} ${d.open === 1 ? 'connection' : 'connections'}`}, ${Math.ceil(leftMs / 1000)} s left`;
  return null;
}

/** The best heir, if it reaches a majority of Redis: it could claim at once. */
function heirWithRedis(d: Draft, now: Now): NodeId | null {
  const heir = heirOf(d, now);
  const frame = membersOf(d.membership).find((m) => m.node === heir)?.frame;
  return heir !== null && frame != null && frame.serversReached >= majorityOf(d.config.lease.servers) ? heir : null;
}
