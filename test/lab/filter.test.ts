import { expect, test } from 'vitest';
import { cutRules } from './filter.ts';
import { checkLabId, labIdOf, namespaceOf } from './names.ts';

test('a host cut from Redis still serves its own Redis to others', () => {
  expect(cutRules({ redis: true }, 'output')).toEqual(['tcp dport 11442 drop']);
  expect(cutRules({ redis: true }, 'input')).toEqual([]);
  expect(cutRules({ redisServer: true }, 'input')).toEqual(['iifname "eth0" tcp dport 11442 drop']);
});

test('loss and far addresses are cut in both directions, loopback never', () => {
  const cut = { clients: true, hosts: ['10.77.0.2'], lossPercent: 30 };
  expect(cutRules(cut, 'input')).toEqual([
    'iifname "eth0" numgen random mod 1000 < 300 drop',
    'ip saddr 10.77.0.200 drop',
    'ip saddr 10.77.0.2 drop',
  ]);
  expect(cutRules(cut, 'output')).toEqual([
    'oifname "eth0" numgen random mod 1000 < 300 drop',
    'ip daddr 10.77.0.200 drop',
    'ip daddr 10.77.0.2 drop',
  ]);
});

test('loss can be limited to some hosts, and a Redis that is down resets calls instead of swallowing them', () => {
  expect(cutRules({ lossPercent: 30, lossHosts: ['10.77.0.2'] }, 'input')).toEqual([
    'iifname "eth0" ip saddr 10.77.0.2 numgen random mod 1000 < 300 drop',
  ]);
  expect(cutRules({ redisDown: true }, 'output')).toEqual(['tcp dport 11442 reject with tcp reset']);
  expect(cutRules({ redisDown: true }, 'input')).toEqual([]);
});

test('a lab knows its own namespaces and no others', () => {
  expect(labIdOf(namespaceOf('demo', 'gpu1'))).toBe('demo');
  expect(['ohl-a', 'ohl-a-b-c', 'other-a-b', 'ohl-A-b'].map(labIdOf)).toEqual([null, null, null, null]);
  expect(() => checkLabId('../etc')).toThrow(/1-8/);
});
