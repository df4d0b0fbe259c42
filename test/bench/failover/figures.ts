// From what a run recorded to the figures of a table. Pure.
import { type ArpRecord, outageMs, owners, type RequestRecord, twoOwnersMs } from '../../lab/prober/records.ts';
import type { LogEvent } from './events.ts';

/** What the probers recorded around a fault. */
export type Recorded = {
  readonly requests: readonly RequestRecord[];
  readonly answers: readonly ArpRecord[];
  readonly faultAt: number;
  /** The end of the fault; Infinity when it ended by itself. */
  readonly healedAt: number;
};

/** Figures of one run, ms. An outage that did not end within the run is Infinity. */
export type Measures = {
  readonly outageMs: number;
  /** Without service after the fault's end, from the first request that failed then. */
  readonly healOutageMs: number;
  readonly twoOwnersMs: number;
  readonly failedRequests: number;
};

/** Measures a run. `from`: where an outage begins, at the fault or with the first request that fails. */
export function measure(seen: Recorded, from: 'fault' | 'first failure'): Measures {
  const during = seen.requests.filter((r) => r.at < seen.healedAt);
  const after = seen.requests.filter((r) => r.at >= seen.healedAt);
  const relevant = seen.requests.filter((r) => r.at + r.latencyMs >= seen.faultAt);
  return {
    outageMs: outageMs(during, from === 'fault' ? seen.faultAt : null, seen.faultAt),
    healOutageMs: after.length === 0 ? 0 : outageMs(after, null, seen.healedAt),
    twoOwnersMs: twoOwnersMs(seen.answers),
    failedRequests: relevant.filter((r) => r.error !== '').length,
  };
}

/** Where the time went, ms; null where the run did not get there. */
export type Phases = {
  /** Fault to the claim that won. */
  readonly detectMs: number | null;
  /** The claim's own round on Redis. */
  readonly claimMs: number | null;
  /** Lease held to fence open. */
  readonly fenceMs: number | null;
  /** Lease held to address seen on the interface. */
  readonly addressMs: number | null;
  /** Address on the interface to its first answer by ARP. */
  readonly announceMs: number | null;
  /** What the old holder needed to get everything off, where it still could. */
  readonly revokeMs: number | null;
  /** Claims that failed since the fault: others were quicker. */
  readonly failedClaims: number;
};

/**
 * Splits the way to the first new holder after the fault. `macOf` names the MAC of a node, `recorded` what its history says of an epoch.
 */
export function phasesOf(
  events: readonly LogEvent[],
  seen: Recorded,
  macOf: (node: string) => string,
  recorded: (node: string, epoch: number) => Readonly<Record<string, number>>,
): Phases {
  const after = events.filter((e) => e.at >= seen.faultAt);
  const claimed = after.find((e) => e.event === 'claimed');
  const on = after.find((e) => e.event === 'vip_on' && e.node === claimed?.node && e.at >= claimed.at);
  const released = after.find((e) => e.event === 'released');
  const number = (value: unknown): number | null => (typeof value === 'number' ? value : null);
  const answered = claimed && owners(seen.answers.filter((a) => a.at >= claimed.at)).find((o) => o.mac === macOf(claimed.node));
  return {
    detectMs: claimed ? claimed.at - seen.faultAt : null,
    claimMs: claimed ? number(recorded(claimed.node, claimed.epoch).claimMs) : null,
    fenceMs: number(on?.fields.fence),
    addressMs: number(on?.fields.address),
    announceMs: on && answered ? answered.from - on.at : null,
    revokeMs: number(released?.fields.revokeMs),
    failedClaims: after.filter((e) => e.event === 'claim_failed').length,
  };
}

/** The value below which the share `p` of the sorted values lies (nearest rank); 0 for none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? 0;
}
