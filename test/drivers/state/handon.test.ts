// handon.json: written once, taken once, and only by a process that agrees.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HandOn } from '../../../src/core/lease/handon.ts';
import { takeHandOn, writeHandOn } from '../../../src/drivers/state/handon.ts';

let dir: string;
let lines: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ohl-handon-'));
  lines = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const lease: HandOn = {
  boot: 1,
  epoch: 251,
  validUntil: 1234.5,
  actFrom: Number.NEGATIVE_INFINITY,
  redisAckAt: 1000,
  lockDelayMs: 0,
  meta: '{"ttl":2000}',
  roster: ['a', 'b'],
  trust: ['f0', null, 'f2'],
  skew: { boot: 3, wall: 1e12 },
  nonce: 77,
};
const file = () => join(dir, 'handon.json');
const take = (key = 'k') => takeHandOn(dir, key, (text) => lines.push(text));

test('what one process leaves the next one takes, once, and no file stays', () => {
  writeHandOn(dir, 'k', 1000, lease);
  expect(take()).toEqual(lease);
  expect(take()).toBeNull();
  expect(readdirSync(dir)).toEqual([]);
  expect(lines).toEqual([]);
});

test('another timing or another list of servers is no successor', () => {
  writeHandOn(dir, 'k', 1000, lease);
  expect(take('other')).toBeNull();
  expect(lines.join()).toContain('have changed');
  expect(readdirSync(dir)).toEqual([]);
});

test('a file of an earlier boot of the machine is refused', () => {
  writeHandOn(dir, 'k', 1000, lease);
  const text = readFileSync(file(), 'utf8').replace(/"machine":"[^"]*"/, '"machine":"11111111-2222-3333-4444-555555555555"');
  writeFileSync(file(), text);
  expect(take()).toBeNull();
  expect(lines.join()).toContain('earlier boot');
});

test.each([
  ['an empty file', ''],
  ['half a file', '{"machine":"x"'],
  ['foreign fields', '{"machine":"x","key":"k","skipMs":1,"lease":{"epoch":-1}}'],
])('%s is said and removed, and the agent starts as a follower', (_, text) => {
  writeFileSync(file(), text);
  expect(take()).toBeNull();
  expect(lines).toHaveLength(1);
  expect(readdirSync(dir)).toEqual([]);
});
