// A lease machine on a hand-held clock, with N tiny registers that answer when told to.
import { createLease, type LeaseTurn, stepLease } from '../../../src/core/lease/machine.ts';
import type { LeaseState } from '../../../src/core/lease/state.ts';
import type { LeaseConfig, LeaseContext, LeaseEffect, LeaseInput, ScriptCall, ScriptCode, Snap } from '../../../src/core/lease/types.ts';

export const standard: LeaseConfig = {
  ttlMs: 2000,
  renewMs: 400,
  pollMs: 150,
  guardMs: 50,
  driftPpm: 5000,
  lockDelayMs: 0,
  claimTimeoutMs: 250,
  backoffMinMs: 30,
  backoffMaxMs: 400,
  heirGraceMs: 300,
  rankDelayMs: 150,
  failsafe: 'unanimous',
  servers: 1,
  fenceRequired: true,
};

const context: LeaseContext = {
  veto: null,
  rank: 0,
  suspicious: false,
  fence: true,
  roster: ['a', 'b', 'c'],
  rosterVersion: 1,
  address: '10.0.0.1:11440',
  gossipEpoch: 0,
  stalled: false,
};

export const vacant = (run = 'f0'): Snap => ({ run, o: '', e: '', n: '', rel: '', heir: '', hi: '', meta: '' });

/** One register that executes a call the way the Lua files do. */
export function execute(snap: Snap, call: ScriptCall): { code: ScriptCode; snap: Snap } {
  const put = (o: string, e: string, n: string, rel: string, heir: string, meta: string): Snap => ({
    ...snap,
    o,
    e,
    n,
    rel,
    heir,
    meta,
    hi: snap.hi === '' || Number(e) > Number(snap.hi) ? e : snap.hi,
  });
  switch (call.script) {
    case 'read':
      return { code: 'ok', snap: snap.n === '' ? put('', '0', call.nonce, '0', '', '') : snap };
    case 'cas':
      if (snap.run !== call.run) return { code: 'run', snap };
      if (snap.o !== call.o || snap.e !== call.e || snap.n !== call.n) return { code: 'changed', snap };
      if (call.mode === 'claim' && snap.hi !== '' && call.epoch <= Number(snap.hi)) return { code: 'epoch', snap };
      return { code: 'ok', snap: put(call.me, String(call.epoch), call.nonce, '0', '', call.meta) };
    case 'renew':
      if (snap.run !== call.run) return { code: 'run', snap };
      if (snap.o !== call.me || snap.e !== String(call.epoch) || snap.rel === '1') return { code: 'lost', snap };
      return { code: 'ok', snap: put(call.me, String(call.epoch), call.nonce, '0', '', call.meta) };
    case 'release':
      if (snap.o !== call.me || snap.e !== String(call.epoch)) return { code: 'lost', snap };
      return { code: 'ok', snap: put(call.me, String(call.epoch), call.nonce, '1', call.heir, snap.meta) };
  }
}

/** Drives one machine; time moves only by `at`, and registers answer within the same moment unless they are cut. */
export class Rig {
  state: LeaseState;
  turn: LeaseTurn;
  mono = 0;
  wall = 1_700_000_000_000;
  bootSkew = 0;
  ctx = context;
  registers: Snap[];
  cut = new Set<number>();
  effects: LeaseEffect[] = [];

  constructor(config: Partial<LeaseConfig> = {}, node = 'a') {
    const full = { ...standard, ...config };
    this.registers = Array.from({ length: full.servers }, (_, i) => vacant(`f${i}`));
    this.state = createLease({ node, boot: 1 }, full, this.now(), 7, 0);
    this.turn = this.step({ k: 'tick' });
  }

  now() {
    return { mono: this.mono, boot: this.mono + this.bootSkew, wall: this.wall + this.mono };
  }

  /** One fact, and every answer that follows from it at once. */
  step(input: LeaseInput): LeaseTurn {
    let last = stepLease(this.state, input, this.ctx, this.now());
    const todo: LeaseInput[] = [];
    const absorb = (turn: LeaseTurn) => {
      this.state = turn.state;
      last = turn;
      for (const effect of turn.effects) {
        this.effects.push(effect);
        if (effect.k !== 'redis') continue;
        const { server, op } = effect;
        if (this.cut.has(server)) {
          todo.push({ k: 'fail', server, op, why: 'timeout' });
          continue;
        }
        const before = this.registers[server] ?? vacant();
        const answer = execute(before, effect.call);
        this.registers[server] = answer.snap;
        todo.push({ k: 'reply', server, op, code: answer.code, snap: answer.snap });
      }
    };
    absorb(last);
    for (let input = todo.shift(); input !== undefined; input = todo.shift()) absorb(stepLease(this.state, input, this.ctx, this.now()));
    this.turn = last;
    return last;
  }

  /** Lets time pass, waking whenever the machine asked for it. */
  at(mono: number): LeaseTurn {
    while (Math.max(this.turn.wakeAt, this.mono + 1) < mono) {
      this.mono = Math.max(this.turn.wakeAt, this.mono + 1);
      this.step({ k: 'tick' });
    }
    this.mono = mono;
    return this.step({ k: 'tick' });
  }

  /** Moves on until the machine acts, or fails the test. */
  untilActing(limit = 60_000): number {
    while (!this.turn.desired.acting) {
      if (this.mono > limit) throw new Error(`nobody active after ${limit} ms: ${this.turn.reason}`);
      this.at(this.mono + 1);
    }
    return this.mono;
  }

  events(k: string) {
    return this.effects.flatMap((e) => (e.k === 'event' && e.event.k === k ? [e.event] : []));
  }
}
