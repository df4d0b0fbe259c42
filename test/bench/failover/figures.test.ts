import { expect, test } from 'vitest';
import type { RequestRecord } from '../../lab/prober/records.ts';
import { epochProblem, holdings, type LogEvent } from './events.ts';
import { measure, percentile, phasesOf } from './figures.ts';

/** Requests every 10 ms for `untilMs`; those that start within a span fail after 200 ms. */
function requests(untilMs: number, ...failing: readonly (readonly [number, number])[]): RequestRecord[] {
  return Array.from({ length: untilMs / 10 }, (_, i) => {
    const failed = failing.some(([from, to]) => i * 10 >= from && i * 10 < to);
    return { at: i * 10, latencyMs: failed ? 200 : 1, error: failed ? 'timeout' : '', node: '' };
  });
}
const log = (at: number, node: string, event: string, epoch: number, fields: Record<string, unknown> = {}): LogEvent => ({
  at,
  node,
  event,
  text: '',
  epoch,
  fields,
});

test('the outage of a fault and that of its end are two figures', () => {
  const seen = { requests: requests(9000, [1000, 1900], [6000, 6100]), answers: [], faultAt: 990, healedAt: 5000 };
  expect(measure(seen, 'fault')).toEqual({ outageMs: 910, healOutageMs: 100, twoOwnersMs: 0, failedRequests: 100 });
  expect(measure(seen, 'first failure').outageMs).toBe(900);
});

test('clients that do not recover before the end of the fault had no service to its end', () => {
  const seen = { requests: requests(3000, [1000, 3000]), answers: [], faultAt: 1000, healedAt: Number.POSITIVE_INFINITY };
  expect(measure(seen, 'fault').outageMs).toBe(Number.POSITIVE_INFINITY);
});

test('phases follow the winner of the first claim after the fault', () => {
  const events = [
    log(10, 'a', 'claimed', 1),
    log(900, 'c', 'claim_failed', 2),
    log(1000, 'b', 'claimed', 3),
    log(1030, 'b', 'vip_on', 3, { fence: 1, address: 28 }),
  ];
  const seen = { requests: [], answers: [{ at: 1035, mac: 'mb' }], faultAt: 100, healedAt: 5000 };
  expect(
    phasesOf(
      events,
      seen,
      (node) => `m${node}`,
      () => ({ claimMs: 4 }),
    ),
  ).toEqual({
    detectMs: 900,
    claimMs: 4,
    fenceMs: 1,
    addressMs: 28,
    announceMs: 5,
    revokeMs: null,
    failedClaims: 1,
  });
});

test('an epoch that does not rise is reported', () => {
  expect(epochProblem([log(1, 'a', 'claimed', 5), log(2, 'b', 'claimed', 6)], 4)).toBe('');
  expect(epochProblem([log(1, 'a', 'claimed', 5), log(2, 'b', 'claimed', 5)], 4)).toContain('b claimed epoch 5');
});

test('holdings end with the words of their holder only', () => {
  const events = [log(5, 'a', 'yielding', 1), log(9, 'b', 'claimed', 2)];
  expect(holdings(events, { node: 'a', epoch: 1, from: 0 })).toEqual([
    { node: 'a', epoch: 1, from: 0, to: 5 },
    { node: 'b', epoch: 2, from: 9, to: null },
  ]);
});

test('a percentile of few values is one of them', () => {
  expect([0.5, 0.99, 1].map((p) => percentile([3, 1, 2, 5, 4], p))).toEqual([3, 5, 5]);
  expect(percentile([], 0.5)).toBe(0);
});
