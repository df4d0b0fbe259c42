import { expect, test } from 'vitest';
import { lineFor, wholeSeconds } from '../../../src/drivers/address/link.ts';
import { addressPresent, allOf, anyOf, inFibTrie, inIfInet6 } from '../../../src/drivers/address/watch.ts';
import { macsOf } from '../../../src/drivers/arp/watch.ts';

const TRIE = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.77.0.10
        /32 link UNICAST
     |-- 10.77.0.100
        /32 host LOCAL
     |-- 10.77.0.255
        /32 link BROADCAST
`;

test('only an address with a local host route counts, and no longer one that begins alike', () => {
  expect(inFibTrie(TRIE, '10.77.0.100')).toBe(true);
  expect(inFibTrie(TRIE, '10.77.0.10')).toBe(false);
  expect(inFibTrie(TRIE, '10.77.0.1')).toBe(false);
  expect(inFibTrie(TRIE, '10.77.0.255')).toBe(false);
});

test('an IPv6 address is found in whatever way it is written', () => {
  const table = 'fd000000000000000000000000000100 04 40 00 82     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n';
  expect(inIfInet6(table, 'fd00::100')).toBe(true);
  expect(inIfInet6(table, 'FD00:0:0:0:0:0:0:100')).toBe(true);
  expect(inIfInet6(table, '::1')).toBe(true);
  expect(inIfInet6(table, 'fd00::101')).toBe(false);
});

test('a table that cannot be read is no answer', () => {
  expect(addressPresent('10.77.0.100', '/nowhere')).toBeNull();
  expect(addressPresent('203.0.113.77')).toBe(false);
});

test('the lifetime of an address is rounded down, so that it never reaches beyond its limit', () => {
  expect([5950, 1000, 999, -5].map(wholeSeconds)).toEqual([5, 1, 0, 0]);
});

test('an IPv6 address is never preferred, an IPv4 address for as long as it is valid', () => {
  expect(lineFor('change', '10.77.0.100/24', 'eth0', 1, true)).toBe('address change 10.77.0.100/24 dev eth0 valid_lft 1 preferred_lft 1');
  expect(lineFor('replace', 'fd00::100/64', 'eth0', 5, false)).toBe('address replace fd00::100/64 dev eth0 valid_lft 5 preferred_lft 0');
  expect(lineFor('replace', 'fd00::100/64', 'eth0', 5, true)).toMatch(/preferred_lft 0 nodad$/);
});

test('several addresses are on when all are there, and off when none is', () => {
  expect([allOf([true, true]), allOf([true, false]), allOf([true, null])]).toEqual([true, false, null]);
  expect([anyOf([false, false]), anyOf([true, false]), anyOf([false, null])]).toEqual([false, true, null]);
});

test('every MAC that answered is told once', () => {
  const output = `ARPING 10.77.0.100 from 10.77.0.200 eth0
Unicast reply from 10.77.0.100 [BA:F8:E9:83:06:38]  0.529ms
Unicast reply from 10.77.0.100 [BA:F8:E9:83:06:39]  0.531ms
Unicast reply from 10.77.0.100 [BA:F8:E9:83:06:38]  0.6ms
Sent 2 probes (2 broadcast(s))
`;
  expect(macsOf(output)).toEqual(['ba:f8:e9:83:06:38', 'ba:f8:e9:83:06:39']);
  expect(macsOf('Received 0 response(s)')).toEqual([]);
});
