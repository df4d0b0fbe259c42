// When the role must move although the lease is sound: the local Ollama died, the holder alone lost Redis, the address is gone from its interface.
// The role never moves to a worse node (H3): without an eligible heir it stays, and says so.

import { majorityOf } from './lease/timing.ts';
import type { LeaseInput, YieldCause } from './lease/types.ts';
import { membersOf } from './membership/machine.ts';
import { type Draft, log } from './state.ts';
import type { NodeId, Now } from './types.ts';
import { heirOf, serversReached } from './view.ts';

// Someone took the address off; the actuator had this long to put it back. (facts: VIP, restore or give up within 2 s)
const ADDRESS_GONE_MS = 1500;

/** The order to give the role up, if it must move and somebody better stands ready. */
export function moveIfBetter(d: Draft, now: Now): Extract<LeaseInput, { k: 'yield' }> | null {
  const why = mustMove(d, now);
  if (why === null) {
    d.stuck = '';
    return null;
  }
  const heir = why.cause === 'redis' ? heirWithRedis(d, now) : heirOf(d, now);
  if (heir === null) {
    const stuck = `DEGRADED (no better node): ${why.text}`;
    if (d.stuck !== stuck) log(d, 'error', 'no_better_node', stuck);
    d.stuck = stuck;
    return null;
  }
  d.stuck = '';
  d.lastYield = { heir, cause: why.cause, by: '' };
  log(d, 'warn', 'moving', `moving to ${heir}: ${why.text}`, { heir });
  return { k: 'yield', heir, cause: why.cause };
}

function mustMove(d: Draft, now: Now): { cause: YieldCause; text: string } | null {
  const phase = d.lease.phase;
  if (phase.tag !== 'active' || phase.lapsed) return null;
  if (d.verdict.ollama === 'down') return { cause: 'ollama', text: `ollama is down: ${d.verdict.reason}` };
  const gone =
    d.config.vip !== 'none' && d.granted === phase.epoch && d.address.present === false && now.mono - d.address.since > ADDRESS_GONE_MS;
  if (gone) return { cause: 'vip', text: 'the address was taken off the interface and could not be restored' };
  const cutAlone = phase.failsafeOn && serversReached(d, now) < majorityOf(d.config.lease.servers) && heirWithRedis(d, now) !== null;
  return cutAlone ? { cause: 'redis', text: 'this node alone is cut from Redis' } : null;
}

/** The best heir, if it reaches a majority of Redis: it could claim at once. */
function heirWithRedis(d: Draft, now: Now): NodeId | null {
  const heir = heirOf(d, now);
  const frame = membersOf(d.membership).find((m) => m.node === heir)?.frame;
  return heir !== null && frame != null && frame.serversReached >= majorityOf(d.config.lease.servers) ? heir : null;
}
