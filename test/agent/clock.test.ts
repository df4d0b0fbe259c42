import { describe, expect, it } from 'vitest';
import { createClock } from '../../src/agent/clock.ts';

/** A machine whose clocks a test moves. `sleep`: what suspend does, see Linux' timekeeping_inject_sleeptime. */
function machine() {
  const at = { mono: 1000, boot: 51_000, wall: 1_000_000 };
  let reads = 0;
  const read = createClock({
    mono: () => at.mono,
    bootMs: () => {
      reads += 1;
      return at.boot;
    },
    wall: () => at.wall,
  });
  const run = (ms: number, wallMs = ms) => {
    at.mono += ms;
    at.boot += ms;
    at.wall += wallMs;
  };
  const sleep = (ms: number) => {
    at.boot += ms;
    at.wall += ms;
  };
  return { at, read, run, sleep, reads: () => reads };
}

describe('the clocks of the agent', () => {
  it('see a machine that slept at the first look after it', () => {
    const m = machine();
    const before = m.read();
    m.run(50);
    m.sleep(700);
    const after = m.read();
    expect(after.mono - before.mono).toBe(50);
    expect(after.boot - before.boot).toBe(750);
  });

  it('do not read the dear clock while the machine simply runs', () => {
    const m = machine();
    for (let i = 0; i < 19; i++) {
      m.read();
      m.run(50);
    }
    expect(m.reads()).toBe(1);
    expect(m.read().boot).toBe(m.at.boot);
  });

  it('read it again within a second even when a step of the wall clock hides the sleep', () => {
    const m = machine();
    m.read();
    m.run(50);
    m.sleep(700);
    m.at.wall -= 700;
    m.read();
    m.run(950);
    expect(m.read().boot).toBe(m.at.boot);
  });

  it('take a step of the wall clock for what it is', () => {
    const m = machine();
    const before = m.read();
    m.run(50);
    m.at.wall += 3_600_000;
    const after = m.read();
    expect(after.boot - before.boot).toBe(50);
    expect(after.wall - before.wall).toBe(3_600_050);
  });
});
