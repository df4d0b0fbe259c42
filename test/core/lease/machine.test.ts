import { describe, expect, it } from 'vitest';
import { waitMs } from '../../../src/core/lease/timing.ts';
import { Rig, vacant } from './kit.ts';

const tObs = waitMs(2000, 5000);
const owned = (over: object) => ({
  ...vacant(),
  o: 'b#9',
  e: '41',
  n: 'b#9:1',
  rel: '0',
  hi: '41',
  meta: '{"ttl":2000,"lockDelay":0}',
  ...over,
});

describe('a contender', () => {
  it('claims a vacant record only after it watched the tombstone for T_obs', () => {
    const rig = new Rig();
    expect(rig.untilActing()).toBe(tObs);
    // Seeded from the wall clock, rounded so that the next epochs are rising VRRP priorities.
    expect(rig.turn.desired.epoch % 250).toBe(1);
    expect(rig.turn.desired.epoch).toBeGreaterThan(rig.wall);
  });

  it('claims an owned record T_obs after the last renewal it saw, not before', () => {
    const rig = new Rig();
    for (let i = 0; i < 20; i++) {
      rig.registers[0] = owned({ n: `b#9:${i}` });
      rig.at(rig.mono + 300);
      expect(rig.turn.desired.acting).toBe(false);
    }
    const seen = rig.state.servers[0]?.recSince ?? Number.NaN;
    expect(rig.untilActing()).toBe(seen + tObs);
    expect(rig.turn.desired.epoch).toBe(42);
  });

  it('waits for a longer T and for the lockDelay the holder announced', () => {
    const rig = new Rig();
    rig.registers[0] = owned({ meta: '{"ttl":3000,"lockDelay":1300}' });
    rig.at(150);
    const seen = rig.state.servers[0]?.recSince ?? Number.NaN;
    expect(rig.untilActing()).toBe(seen + waitMs(4300, 5000));
  });

  it('starts its watch anew when Redis restarted, whatever the record says', () => {
    const rig = new Rig();
    rig.registers[0] = owned({ rel: '1', heir: 'a' });
    rig.at(1000);
    rig.registers[0] = owned({ run: 'aa', rel: '1', heir: 'a' });
    rig.at(1200);
    const seen = rig.state.servers[0]?.runSince ?? Number.NaN;
    expect(seen).toBeGreaterThan(1000);
    expect(rig.untilActing()).toBe(seen + tObs);
  });

  it('takes a released record at once when it is the heir, and leaves it alone for the grace time when it is not', () => {
    const heir = new Rig();
    heir.registers[0] = owned({});
    heir.at(5000 - 3000);
    heir.registers[0] = owned({ n: 'b#9:2' });
    heir.at(2300);
    heir.registers[0] = owned({ n: 'b#9:3', rel: '1', heir: 'a' });
    const seenAt = heir.untilActing();
    expect(seenAt).toBeLessThan(2300 + 151);
    const other = new Rig();
    other.registers[0] = owned({});
    other.at(2000);
    other.registers[0] = owned({ n: 'b#9:2' });
    other.at(2300);
    other.registers[0] = owned({ n: 'b#9:3', rel: '1', heir: 'c' });
    other.at(2400);
    const seen = other.state.servers[0]?.recSince ?? Number.NaN;
    expect(other.untilActing()).toBe(seen + 301);
  });

  it('needs a majority of servers that answer: an old record of a dead server does not count as ripe', () => {
    const rig = new Rig({ servers: 3 });
    rig.at(1000);
    rig.cut = new Set([0, 1]);
    rig.at(10_000);
    expect(rig.turn.desired.acting).toBe(false);
    expect(rig.effects.filter((e) => e.k === 'redis' && e.call.script === 'cas')).toHaveLength(0);
  });

  it('bids later by its rank', () => {
    const rig = new Rig();
    rig.ctx = { ...rig.ctx, rank: 2 };
    rig.step({ k: 'tick' });
    const seen = rig.state.servers[0]?.recSince ?? Number.NaN;
    expect(rig.untilActing()).toBe(seen + tObs + 300);
  });

  it('never claims under a veto, and says which', () => {
    const rig = new Rig();
    rig.ctx = { ...rig.ctx, veto: 'ollama down: refused' };
    rig.at(20_000);
    expect(rig.turn.desired.acting).toBe(false);
    expect(rig.turn.reason).toContain('ollama down: refused');
  });

  it('counts its rank from the word of a holder that stepped down, and waits for nothing when the word made it the heir', () => {
    const watching = () => {
      const rig = new Rig();
      rig.ctx = { ...rig.ctx, rank: 2 };
      rig.registers[0] = owned({});
      rig.at(3000);
      rig.registers[0] = owned({ n: 'b#9:2' });
      rig.at(4000);
      return rig;
    };
    const other = watching();
    other.step({ k: 'stepDown', from: 'b', boot: 9, epoch: 41 });
    expect(other.untilActing()).toBeGreaterThanOrEqual(4000 + 2 * 150);

    const heir = watching();
    heir.step({ k: 'stepDown', from: 'b', boot: 9, epoch: 41 });
    heir.mono += 1;
    heir.step({ k: 'handover', from: 'b', boot: 9, epoch: 41 });
    expect(heir.untilActing()).toBeLessThan(4000 + 10);
  });

  it('takes a failed claim back everywhere and never reuses its epoch', () => {
    const rig = new Rig({ servers: 3 });
    rig.at(tObs - 1);
    rig.registers[0] = { ...vacant('f0'), o: 'c#2', e: '7', n: 'c#2:1', rel: '0', hi: '7' };
    rig.registers[1] = { ...vacant('f1'), o: 'c#2', e: '7', n: 'c#2:1', rel: '0', hi: '7' };
    rig.at(tObs);
    expect(rig.turn.desired.acting).toBe(false);
    const tried = rig.effects.flatMap((e) => (e.k === 'redis' && e.call.script === 'cas' ? [e.call.epoch] : []));
    const released = rig.effects.flatMap((e) => (e.k === 'redis' && e.call.script === 'release' ? [e.call.epoch] : []));
    expect(new Set(released)).toEqual(new Set(tried));
    expect(rig.events('claimFailed')).toHaveLength(1);
    expect(rig.state.epochKnown).toBe(tried[0]);
  });
});

describe('a holder', () => {
  it('counts validity from the send of the round, and stops one guard before its end', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    expect(rig.turn.desired.validUntil).toBe(start + 2000);
    rig.at(start + 400);
    expect(rig.turn.desired.validUntil).toBe(start + 2400);
    rig.cut.add(0);
    rig.ctx = { ...rig.ctx, roster: ['a', 'b', 'c'] };
    rig.at(start + 2349);
    expect(rig.turn.desired.acting).toBe(true);
    rig.at(start + 2350);
    expect(rig.turn.desired.acting).toBe(false);
    expect(rig.events('lapsed')).toHaveLength(1);
  });

  it('is restored without a new epoch when a lapsed lease can be renewed, and gives up after 3 T', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    const epoch = rig.turn.desired.epoch;
    rig.cut.add(0);
    rig.at(start + 4000);
    rig.cut.clear();
    rig.at(start + 4500);
    expect(rig.turn.desired).toMatchObject({ acting: true, epoch });
    rig.cut.add(0);
    rig.at(start + 4500 + 2000 + 6500);
    expect(rig.state.phase.tag).toBe('follower');
  });

  it('adopts an emptied Redis again within R, without a gap', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    const epoch = rig.turn.desired.epoch;
    rig.registers[0] = vacant('f0');
    for (let t = start; t < start + 5000; t += 10) {
      rig.at(t);
      expect(rig.turn.desired).toMatchObject({ acting: true, epoch });
    }
    expect(rig.registers[0]?.o).toBe('a#1');
  });

  it('adopts a Redis that restarted empty, without a gap', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    rig.registers[0] = vacant('ee');
    for (let t = start; t < start + 5000; t += 10) {
      rig.at(t);
      expect(rig.turn.desired.acting).toBe(true);
    }
    expect(rig.registers[0]).toMatchObject({ run: 'ee', o: 'a#1' });
  });

  it('stops at once when a majority says that somebody else holds the lease', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    rig.registers[0] = owned({ run: 'f0', o: 'c#5', e: '99', n: 'c#5:1', hi: '99' });
    rig.at(start + 400);
    expect(rig.turn.desired.acting).toBe(false);
    expect(rig.state.phase.tag).toBe('follower');
  });

  it('does not take its own record back after the stop hook released it', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    const mine = rig.registers[0] ?? vacant();
    rig.registers[0] = { ...mine, rel: '1', n: 'hook:1' };
    const epoch = rig.turn.desired.epoch;
    rig.at(start + 400);
    expect(rig.events('deposed')).toHaveLength(1);
    // It may claim anew, but never act under the released epoch again.
    expect(rig.registers[0]?.e).not.toBe(String(epoch));
  });

  it('releases only after the effects are confirmed ended, then tells the heir', () => {
    const rig = new Rig();
    rig.untilActing();
    const epoch = rig.turn.desired.epoch;
    rig.effects = [];
    rig.step({ k: 'yield', heir: 'b', cause: 'planned' });
    expect(rig.turn.desired.acting).toBe(false);
    rig.at(rig.mono + 100);
    expect(rig.effects.some((e) => e.k === 'redis' && e.call.script === 'release')).toBe(false);
    rig.step({ k: 'ended', epoch });
    expect(rig.registers[0]).toMatchObject({ rel: '1', heir: 'b' });
    expect(rig.effects).toContainEqual({ k: 'handover', to: 'b', epoch });
    expect(rig.effects.some((e) => e.k === 'stepDown')).toBe(false);
  });

  it('says StepDown first-hand when Redis cannot be reached for the release', () => {
    const rig = new Rig();
    rig.untilActing();
    const epoch = rig.turn.desired.epoch;
    rig.cut.add(0);
    rig.at(rig.mono + 500);
    rig.step({ k: 'yield', heir: 'b', cause: 'redis' });
    rig.step({ k: 'ended', epoch });
    expect(rig.effects).toContainEqual({ k: 'stepDown', epoch });
    expect(rig.effects).toContainEqual({ k: 'handover', to: 'b', epoch });
  });

  it('gives up cleanly when its clocks show that the machine stood still', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    rig.at(start + 100);
    rig.bootSkew += 300;
    rig.at(start + 110);
    expect(rig.turn.desired.acting).toBe(false);
    expect(rig.events('yielding')).toMatchObject([{ cause: 'clock' }]);
  });

  it('names whoever stands ready as the heir when a clock or the fence ends its role', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    rig.at(start + 100);
    rig.ctx = { ...rig.ctx, heir: 'b' };
    rig.wall += 3_600_000;
    rig.at(start + 110);
    const { epoch } = rig.turn.desired;
    rig.step({ k: 'ended', epoch });
    expect(rig.registers[0]).toMatchObject({ rel: '1', heir: 'b' });
    expect(rig.effects).toContainEqual({ k: 'handover', to: 'b', epoch });

    const other = new Rig();
    other.untilActing();
    other.ctx = { ...other.ctx, fence: false, heir: 'c' };
    other.step({ k: 'fenceLost' });
    expect(other.events('yielding')).toMatchObject([{ cause: 'fence', heir: 'c' }]);
  });

  it('is not moved by a wall clock that steps back', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    rig.wall -= 3_600_000;
    rig.at(start + 1000);
    expect(rig.turn.desired.acting).toBe(true);
  });

  it('gives up an epoch that announced no lockDelay when its fence is lost', () => {
    const rig = new Rig({ lockDelayMs: 1300, fenceRequired: false });
    rig.untilActing();
    expect(rig.turn.desired.lockDelayMs).toBe(0);
    rig.ctx = { ...rig.ctx, fence: false };
    rig.step({ k: 'fenceLost' });
    expect(rig.turn.desired.acting).toBe(false);
    rig.step({ k: 'ended', epoch: rig.turn.desired.epoch });
    rig.untilActing();
    expect(rig.turn.desired.lockDelayMs).toBe(1300);
  });

  it('admits nothing after a long stall until a round sent after it is acknowledged', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    rig.at(start + 400);
    rig.cut.add(0);
    rig.mono += 1500;
    rig.step({ k: 'tick' });
    expect(rig.turn.desired.acting).toBe(false);
    rig.cut.clear();
    rig.at(rig.mono + 400);
    expect(rig.turn.desired.acting).toBe(true);
  });
});

describe('failsafe', () => {
  const accept = (rig: Rig, from: string) => {
    const ask = rig.effects.findLast((e) => e.k === 'failsafe' && e.to === from);
    if (ask?.k !== 'failsafe') throw new Error('nobody was asked');
    rig.step({ k: 'failsafeReply', from, epoch: ask.epoch, round: ask.round, verdict: 'accepted' });
  };

  it('extends a valid holder only when every member accepted', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    rig.cut.add(0);
    rig.at(start + 700);
    accept(rig, 'b');
    expect(rig.turn.desired.validUntil).toBe(start + 2000);
    accept(rig, 'c');
    expect(rig.turn.desired.validUntil).toBeGreaterThan(start + 2500);
    for (let t = start + 1000; t < start + 20_000; t += 100) {
      rig.at(t);
      accept(rig, 'b');
      accept(rig, 'c');
    }
    expect(rig.turn.desired.acting).toBe(true);
  });

  it('never revives a holder that has lapsed', () => {
    const rig = new Rig();
    const start = rig.untilActing();
    rig.cut.add(0);
    rig.at(start + 1990);
    const before = rig.turn.desired.acting;
    accept(rig, 'b');
    accept(rig, 'c');
    expect([before, rig.turn.desired.acting]).toEqual([false, false]);
  });

  it('keeps a member from claiming until the promise ends, unless the holder itself says it is done', () => {
    const rig = new Rig();
    rig.registers[0] = owned({});
    rig.at(1000);
    rig.step({ k: 'failsafeRequest', from: 'b', boot: 9, epoch: 41, ttlMs: 2000, lockDelayMs: 0, round: 1 });
    const until = 1000 + tObs;
    rig.at(until - 1);
    expect(rig.state.phase.tag).toBe('follower');
    expect(rig.effects).toContainEqual({ k: 'failsafeReply', to: 'b', epoch: 41, round: 1, verdict: 'accepted', nackEpoch: 0 });
    const other = new Rig();
    other.registers[0] = owned({});
    other.at(tObs - 100);
    other.step({ k: 'failsafeRequest', from: 'b', boot: 9, epoch: 41, ttlMs: 2000, lockDelayMs: 0, round: 1 });
    other.at(tObs + 100);
    expect(other.turn.desired.acting).toBe(false);
    other.step({ k: 'stepDown', from: 'b', boot: 9, epoch: 41 });
    expect(other.untilActing()).toBeLessThan(tObs + 100 + 151 + 1);
  });

  it('refuses a sender outside the roster, and an active node answers with its epoch', () => {
    const rig = new Rig();
    rig.step({ k: 'failsafeRequest', from: 'x', boot: 1, epoch: 1, ttlMs: 2000, lockDelayMs: 0, round: 4 });
    expect(rig.effects).toContainEqual({ k: 'failsafeReply', to: 'x', epoch: 1, round: 4, verdict: 'not_in_roster', nackEpoch: 0 });
    rig.untilActing();
    rig.step({ k: 'failsafeRequest', from: 'b', boot: 1, epoch: 1, ttlMs: 2000, lockDelayMs: 0, round: 5 });
    expect(rig.effects).toContainEqual({
      k: 'failsafeReply',
      to: 'b',
      epoch: 1,
      round: 5,
      verdict: 'nack',
      nackEpoch: rig.turn.desired.epoch,
    });
  });
});
