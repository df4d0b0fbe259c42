import { expect, test } from 'vitest';
import { type ArpRecord, outageMs, owners, type RequestRecord, twoOwnersMs } from './records.ts';

/** Requests every 10 ms from 0; those that start within a failing span time out after 200 ms. */
function requests(untilMs: number, ...failing: readonly (readonly [number, number])[]): RequestRecord[] {
  return Array.from({ length: untilMs / 10 }, (_, i) => {
    const failed = failing.some(([from, to]) => i * 10 >= from && i * 10 < to);
    return { at: i * 10, latencyMs: failed ? 200 : 1, error: failed ? 'timeout' : '', node: '' };
  });
}
const arp = (...answers: readonly [number, string][]): ArpRecord[] => answers.map(([at, mac]) => ({ at, mac }));

test('an outage lasts from the fault to the first request after which all succeed', () => {
  expect(outageMs(requests(3000, [505, 1200]), 503)).toBe(1200 - 503);
});

test('an answer between failures does not end an outage', () => {
  expect(outageMs(requests(3000, [500, 700], [900, 1000]), 500)).toBe(500);
});

test('a planned move counts from the first failed request, and without one there was no outage', () => {
  expect(outageMs(requests(1000, [400, 430]), null, 300)).toBe(30);
  expect(outageMs(requests(1000), null, 300)).toBe(0);
  expect(outageMs(requests(1000), 300)).toBe(0);
});

test('failures that ended before the fault do not count; one that was under way does', () => {
  expect(outageMs(requests(3000, [100, 150]), 1000)).toBe(0);
  expect(outageMs(requests(3000, [900, 910]), 1000)).toBe(0);
  expect(outageMs(requests(3000, [990, 1100]), 1000)).toBe(100);
});

test('clients that never recover have an infinite outage', () => {
  expect(outageMs(requests(1000, [500, 1000]), 500)).toBe(Infinity);
});

test('records may arrive in the order of their ends', () => {
  const late = requests(3000, [500, 700]).sort((a, b) => a.at + a.latencyMs - (b.at + b.latencyMs));
  expect(outageMs(late, 500)).toBe(200);
});

test('a plain change of owner is no overlap, even when both answers carry the same time', () => {
  expect(twoOwnersMs(arp([0, 'a'], [5, 'a'], [10, 'b'], [15, 'b']))).toBe(0);
  expect(twoOwnersMs(arp([0, 'a'], [10, 'a'], [10, 'b'], [15, 'b']))).toBe(0);
});

test('two MACs that alternate are two owners for as long as both answer', () => {
  expect(twoOwnersMs(arp([0, 'a'], [5, 'a'], [6, 'b'], [20, 'a'], [21, 'b'], [40, 'a'], [41, 'b'], [50, 'b']))).toBe(34);
});

test('one late answer of the old owner counts as one probe period', () => {
  expect(twoOwnersMs(arp([0, 'a'], [5, 'b'], [6, 'a'], [10, 'b'], [15, 'b']))).toBe(5);
});

test('an owner that was silent and comes back after the other went is not there all the time', () => {
  const answers = arp([0, 'a'], [5, 'a'], [500, 'b'], [505, 'b'], [1000, 'a'], [1005, 'a']);
  expect(twoOwnersMs(answers)).toBe(0);
  expect(owners(answers)).toEqual([
    { mac: 'a', from: 0, to: 5 },
    { mac: 'b', from: 500, to: 505 },
    { mac: 'a', from: 1000, to: 1005 },
  ]);
});

test('a frozen owner that wakes beside the new one is seen', () => {
  const b: readonly [number, string][] = Array.from({ length: 100 }, (_, i) => [1000 + i * 5, 'b']);
  const answers = arp([0, 'a'], ...b, [1201, 'a'], [1241, 'a']).sort((x, y) => x.at - y.at);
  expect(twoOwnersMs(answers)).toBe(40);
});
