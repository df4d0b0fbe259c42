import { expect, test } from 'vitest';
import { onArgs } from '../../../src/drivers/address/link.ts';
import { addressPresent, inFibTrie, inIfInet6 } from '../../../src/drivers/address/watch.ts';
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

test('the lifetime of the address is rounded down, at least one second', () => {
  const vip = { vip: '10.77.0.100/24', interface: 'eth0' };
  expect(onArgs(vip, 5950).slice(5, 7)).toEqual(['valid_lft', '5']);
  expect(onArgs(vip, 450).slice(5, 7)).toEqual(['valid_lft', '1']);
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
