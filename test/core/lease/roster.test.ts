import { describe, expect, it } from 'vitest';
import { Rig, vacant } from './kit.ts';

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

describe('the roster in the record', () => {
  const rosterOf = (rig: Rig) => JSON.parse(rig.registers[0]?.meta ?? '{}').roster;

  it('changes inside an epoch by the next renewal, one change at a time, and never drops the holder itself', () => {
    const rig = new Rig({ servers: 3 });
    rig.untilActing();
    const { epoch } = rig.turn.desired;
    rig.step({ k: 'roster', nodes: ['a', 'b', 'c', 'd'] });
    rig.step({ k: 'roster', nodes: ['a', 'b'] });
    expect(rosterOf(rig)).toEqual(['a', 'b', 'c', 'd']);
    expect(rig.turn.desired).toMatchObject({ epoch, acting: true });
    expect(rig.events('rosterChanged')).toMatchObject([{ nodes: ['a', 'b', 'c', 'd'] }]);
    rig.at(rig.mono + 3000);
    rig.step({ k: 'roster', nodes: ['b', 'c'] });
    expect(rosterOf(rig)).toEqual(['a', 'b', 'c', 'd']);
    rig.step({ k: 'roster', nodes: ['a', 'b'] });
    expect(rosterOf(rig)).toEqual(['a', 'b']);
  });

  it('asks the members before and after a change in failsafe, until no older renewal can arrive', () => {
    const rig = new Rig();
    rig.untilActing();
    rig.step({ k: 'roster', nodes: ['a', 'b', 'd'] });
    const asked = () => rig.effects.flatMap((e) => (e.k === 'failsafe' ? [e.to] : []));
    rig.cut.add(0);
    rig.effects = [];
    rig.at(rig.mono + 700);
    expect([...new Set(asked())].sort()).toEqual(['b', 'c', 'd']);
    const calm = new Rig();
    calm.untilActing();
    calm.step({ k: 'roster', nodes: ['a', 'b', 'd'] });
    calm.at(calm.mono + 3000);
    calm.cut.add(0);
    calm.effects = [];
    calm.at(calm.mono + 700);
    expect([...new Set(calm.effects.flatMap((e) => (e.k === 'failsafe' ? [e.to] : [])))].sort()).toEqual(['b', 'd']);
  });

  it('keeps out a node that the record does not name, also when the record is released to it, and until a record names it', () => {
    const rig = new Rig();
    const meta = (roster: readonly string[]) => JSON.stringify({ addr: '', ttl: 2000, lockDelay: 0, roster, rosterVersion: 9 });
    rig.registers[0] = { ...owned({}), meta: meta(['b', 'c']) };
    rig.at(20_000);
    expect(rig.turn.desired.acting).toBe(false);
    expect(rig.turn.reason).toContain('not in the roster');
    rig.registers[0] = { ...owned({}), n: 'b#9:2', rel: '1', heir: 'a', meta: meta(['b', 'c']) };
    rig.at(40_000);
    expect(rig.turn.desired.acting).toBe(false);
    rig.registers[0] = { ...owned({}), n: 'b#9:3', rel: '1', heir: 'a', meta: meta(['a', 'b', 'c']).replace(':9', ':10') };
    rig.at(41_000);
    expect(rig.turn.desired.acting).toBe(true);
    expect(JSON.parse(rig.registers[0]?.meta ?? '')).toMatchObject({ roster: ['a', 'b', 'c'], rosterVersion: 11 });
  });
});

describe('the wrap of the epoch as VRRP priority', () => {
  const expired = (epoch: number, rel = '0') => {
    const rig = new Rig();
    rig.registers[0] = { ...owned({}), e: String(epoch), hi: String(epoch), rel: '0' };
    rig.at(1000);
    rig.registers[0] = { ...(rig.registers[0] ?? owned({})), rel };
    return rig;
  };

  it('costs one more T_obs when the number falls and the last holder said nothing', () => {
    const rig = expired(499);
    while (rig.state.phase.tag !== 'active') rig.at(rig.mono + 1);
    const claimed = rig.mono;
    expect(rig.turn.desired).toMatchObject({ acting: false, epoch: 500 });
    expect(rig.turn.reason).toContain('not acting for');
    expect(rig.untilActing() - claimed).toBe(2026);
  });

  it('costs nothing when the number rises, or after a release', () => {
    for (const rig of [expired(498), expired(499, '1')]) {
      while (rig.state.phase.tag !== 'active') rig.at(rig.mono + 1);
      expect(rig.turn.desired.acting).toBe(true);
    }
  });
});
