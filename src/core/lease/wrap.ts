// The epoch is the VRRP priority, modulo 250 (facts: VIP, wrap of the epoch number).
//
// Where that number falls from one holder to the next, a stale holder would be the stronger one on the wire. The new holder then lets one more
// T_obs pass before it acts. A former holder that said it is done (RELEASE, StepDown) is off: then nothing is waited for.
import { nodeOf } from '../types.ts';
import { bits, type Draft } from './state.ts';
import { majorityOf } from './timing.ts';
import type { Snap } from './types.ts';

const PRIORITIES = 250;
// Attempts that reached single servers only; more never matter at once.
const AT_LARGE_MAX = 8;

/** Remembers an owner that may act, and forgets one that released. A majority's owner stands for all before it: it did its own waiting. */
export function noticeOwner(d: Draft, snap: Snap): void {
  if (snap.o === '' || snap.o === d.me) return;
  const owner = { o: snap.o, e: Number(snap.e) };
  const others = d.atLarge.filter((x) => x.o !== owner.o || x.e !== owner.e);
  if (snap.rel === '1') {
    if (others.length < d.atLarge.length) d.atLarge = others;
    return;
  }
  let carried = 0;
  d.servers.forEach((seen, i) => {
    if (seen !== null && seen.snap.o === snap.o && seen.snap.e === snap.e && seen.snap.rel !== '1') carried |= 1 << i;
  });
  if (bits(carried) >= majorityOf(d.config.servers)) d.atLarge = [owner];
  else if (others.length === d.atLarge.length) d.atLarge = [owner, ...others].slice(0, AT_LARGE_MAX);
}

/** A former owner said first-hand that it is done. */
export function ownerDone(d: Draft, node: string, epoch: number): void {
  d.atLarge = d.atLarge.filter((x) => nodeOf(x.o) !== node || x.e !== epoch);
}

/** Whether somebody may still act whose epoch is the stronger priority. */
export function isWeaker(d: Pick<Draft, 'atLarge'>, epoch: number): boolean {
  return d.atLarge.some((x) => x.e % PRIORITIES > epoch % PRIORITIES);
}
