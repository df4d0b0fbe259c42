// How late each enforcer may be, and what a claimer therefore has to wait beyond the lease (facts: VIP, timing rule).
import type { Enforcer } from '../types.ts';

/** Least `lockDelay` of a holder that relies on this enforcer, ms. `none` may hold no address, so nothing outlasts its lease. */
export const lockDelayLeastMs: Readonly<Record<Enforcer, number>> = { nft: 0, valid_lft: 1100, script: 1300, none: 0 };

/** Shortest lease that the lifetime of an address can end in time: it counts whole seconds, and the kernel is up to 1.65 s late, ms. */
export const lifetimeTtlLeastMs = 2000;
