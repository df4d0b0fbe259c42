import { expect, test } from 'vitest';
import { type Room, roomWarnings } from '../../src/core/room.ts';

const ultra: Room = { preset: 'ultra', ttlMs: 500, renewMs: 100, servers: 3, loopLateP99Ms: 2, redisP99Ms: [1, 2, 3] };
const standard: Room = { ...ultra, preset: 'standard', ttlMs: 2000, renewMs: 400 };

test('a quick machine has room for every preset', () => {
  expect(roomWarnings(ultra)).toEqual([]);
  expect(roomWarnings(standard)).toEqual([]);
});

test('ultra wants Redis under 20 ms, the others under half a renewal period', () => {
  expect(roomWarnings({ ...ultra, redisP99Ms: [25, 19.9, 1] })).toEqual([]);
  expect(roomWarnings({ ...ultra, redisP99Ms: [25, 20, 1] })).toEqual([expect.stringContaining('within 20 ms (p99), it must be under 20')]);
  expect(roomWarnings({ ...standard, redisP99Ms: [199, 199, 199] })).toEqual([]);
  expect(roomWarnings({ ...standard, redisP99Ms: [1, 200, 300] })).toEqual([
    expect.stringContaining('within 200 ms (p99), it must be under 200'),
  ]);
});

test('one slow server of three costs nothing, and fewer than a majority say nothing', () => {
  expect(roomWarnings({ ...ultra, redisP99Ms: [1, 2, 900] })).toEqual([]);
  expect(roomWarnings({ ...ultra, redisP99Ms: [900] })).toEqual([]);
});

test('a late main loop is told once it was measured', () => {
  expect(roomWarnings({ ...ultra, loopLateP99Ms: 50 })).toEqual([expect.stringContaining('main loop is up to 50 ms late')]);
  expect(roomWarnings({ ...standard, loopLateP99Ms: 50 })).toEqual([]);
  expect(roomWarnings({ ...ultra, loopLateP99Ms: null })).toEqual([]);
});
