import { describe, expect, it } from 'vitest';
import { type HandOn, handOnOf, resumeLease } from '../../../src/core/lease/handon.ts';
import { createLease } from '../../../src/core/lease/machine.ts';
import { Rig, standard } from './kit.ts';

const AT = 10_000;

/** A holder that renewed for the purpose at AT, and what it hands on. */
function holder(config: Partial<typeof standard> = {}) {
  const rig = new Rig(config);
  rig.untilActing();
  rig.at(AT);
  rig.step({ k: 'renew' });
  const given = handOnOf(rig.state, AT, rig.now());
  if (given === null) throw new Error('nothing to hand on');
  return { rig, given };
}

/** Another process of the same node with another boot, at `mono`, over the same registers. */
function next(rig: Rig, given: HandOn, mono: number, config: Partial<typeof standard> = {}): Rig {
  const fresh = new Rig(config);
  fresh.registers = rig.registers;
  fresh.mono = mono;
  fresh.bootSkew = rig.bootSkew;
  fresh.effects = [];
  fresh.state = resumeLease(createLease({ node: 'a', boot: 2 }, { ...standard, ...config }, fresh.now(), 9, 0), given, fresh.now());
  return fresh;
}

describe('a lease handed on at a restart', () => {
  it('goes on under the same epoch and owner, without a claim, and never repeats a nonce', () => {
    const { rig, given } = holder({ servers: 3 });
    const used = new Set(rig.registers.map((r) => r.n));
    const after = next(rig, given, AT + 1200, { servers: 3 });
    after.step({ k: 'tick' });
    expect(after.turn.desired).toMatchObject({ acting: true, epoch: rig.turn.desired.epoch });
    after.at(AT + 5000);
    expect(after.turn.desired.acting).toBe(true);
    expect(after.effects.some((e) => e.k === 'redis' && e.call.script === 'cas')).toBe(false);
    for (const r of after.registers) {
      expect(r.o).toBe('a#1');
      expect(used.has(r.n)).toBe(false);
    }
  });

  it('adds nothing to the validity before a round of its own was acknowledged', () => {
    const { rig, given } = holder();
    const after = next(rig, given, AT + 1500);
    after.cut = new Set([0]);
    after.step({ k: 'tick' });
    expect(after.turn.desired.validUntil).toBe(AT + standard.ttlMs);
    after.at(AT + standard.ttlMs - standard.guardMs);
    expect(after.turn.desired.acting).toBe(false);
  });

  it('does not take the time since the last turn of the old process for a stall', () => {
    const { rig, given } = holder();
    const after = next(rig, given, AT + 1000);
    after.mono = AT + 1900;
    after.cut = new Set([0]);
    after.step({ k: 'tick' });
    expect(after.turn.desired.acting).toBe(true);
  });

  it('makes a plain follower of a process that comes too late, or after the machine stood still', () => {
    const { rig, given } = holder();
    const late = next(rig, given, AT + standard.ttlMs - standard.guardMs);
    expect(late.state.phase.tag).toBe('follower');
    expect(late.state.me).toBe('a#2');
    rig.bootSkew = 300;
    expect(next(rig, given, AT + 500).state.phase.tag).toBe('follower');
  });

  it('refuses a validity that no clock of this boot can have given', () => {
    const { rig, given } = holder();
    expect(next(rig, { ...given, validUntil: AT + 10 * standard.ttlMs }, AT + 500).state.phase.tag).toBe('follower');
  });

  it('loses to anybody who claimed meanwhile', () => {
    const { rig, given } = holder();
    rig.registers[0] = { ...(rig.registers[0] as (typeof rig.registers)[0]), o: 'b#4', e: String(given.epoch + 1), n: 'b#4:1' };
    const after = next(rig, given, AT + 500);
    after.step({ k: 'tick' });
    after.step({ k: 'tick' });
    expect(after.turn.desired.acting).toBe(false);
  });

  it('is not left to anybody before a round sent for it was acknowledged, nor while the roster changes, nor after a lapse', () => {
    const { rig } = holder();
    rig.cut = new Set([0]);
    rig.mono += 10;
    rig.step({ k: 'renew' });
    expect(handOnOf(rig.state, rig.mono, rig.now())).toBeNull();
    rig.cut = new Set();
    rig.step({ k: 'roster', nodes: ['a', 'b'] });
    expect(handOnOf(rig.state, 0, rig.now())).toBeNull();
    rig.at(AT + 3 * standard.ttlMs);
    expect(handOnOf(rig.state, 0, rig.now())).not.toBeNull();
    rig.cut = new Set([0]);
    rig.at(AT + 5.5 * standard.ttlMs);
    expect(handOnOf(rig.state, 0, rig.now())).toBeNull();
  });

  it('can be released by the process that took it: the word fits the record', () => {
    const { rig, given } = holder();
    const after = next(rig, given, AT + 500);
    after.step({ k: 'tick' });
    after.step({ k: 'yield', heir: 'b', cause: 'planned' });
    after.step({ k: 'ended', epoch: given.epoch });
    expect(after.registers[0]).toMatchObject({ o: 'a#1', rel: '1', heir: 'b' });
  });
});
