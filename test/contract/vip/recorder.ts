// A world for the VIP that records every act in order, and in which any act can be made to fail.

import { createVip } from '../../../src/agent/vip.ts';
import { DONE, failed, type Outcome, type VipParts } from '../../../src/agent/vip-ports.ts';
import type { Input, VipWant } from '../../../src/core/io.ts';

/** The world and the port on it. `acts` is the record; `breaks` names acts that fail from now on. */
export type Recorder = {
  readonly acts: string[];
  readonly facts: Input[];
  readonly breaks: Set<string>;
  /** The address obeys nobody while true. */
  stuck: boolean;
  /** keepalived's word: overruled by a peer; its state, null = as the address is. */
  overruled: boolean;
  judge: 'MASTER' | 'BACKUP' | 'FAULT' | null;
  clock: { ms: number };
  apply(want: VipWant): void;
  /** Removes the address behind the port's back, or puts it there. */
  setPresent(present: boolean): void;
  /** Resolves with the first fact of this kind; facts are not taken twice. */
  fact<K extends Input['k']>(k: K): Promise<Extract<Input, { k: K }>>;
  /** Lets everything that is under way come to rest. */
  settle(): Promise<void>;
  /** Acts since the last call. */
  taken(): string[];
  close(): Promise<void>;
};

export function openRecorder(
  options: {
    readonly present?: boolean;
    readonly driver?: 'keepalived' | 'address';
    readonly fence?: 'required' | 'preferred';
    readonly lifetimes?: boolean;
  } = {},
): Recorder {
  const acts: string[] = [];
  const facts: Input[] = [];
  const breaks = new Set<string>();
  const waiting = new Set<() => void>();
  const clock = { ms: 1000 };
  const listeners = new Set<() => void>();
  const world = {
    present: options.present ?? false,
    stuck: false,
    overruled: false,
    judge: null as 'MASTER' | 'BACKUP' | 'FAULT' | null,
  };
  const address = options.driver === 'address';
  const act = (name: string, effect: () => void = () => {}): Outcome => {
    acts.push(name);
    if (breaks.has(name.split(' ')[0] ?? name)) return failed(`${name} is broken`);
    effect();
    return DONE;
  };
  const change = (present: boolean) => {
    if (world.stuck || world.present === present) return;
    world.present = present;
    for (const listener of listeners) listener();
  };
  const parts: VipParts = {
    fence: {
      open: async (enforceAt) => act(`open ${enforceAt}`),
      close: async () => act('close'),
      check: async () => (breaks.has('check') ? failed('no table') : DONE),
      prove: async () => (breaks.has('prove') ? failed('no nft') : DONE),
    },
    fenceRequired: options.fence !== 'preferred',
    files: address
      ? null
      : {
          deadline: (enforceAt) => act(`deadline ${enforceAt}`),
          epoch: (epoch) => act(`epoch ${epoch}`),
          lease: (held) => act(`lease ${held ? 1 : 0}`, () => change(held)),
        },
    keepalived: address
      ? null
      : {
          ready: () => (breaks.has('keepalived') ? failed('keepalived is gone') : DONE),
          script: () => (breaks.has('script') ? failed('the script is gone') : DONE),
          untilFault: async () => true,
          view: () => ({ alive: true, state: world.judge ?? (world.present ? 'MASTER' : 'FAULT'), priority: 3, at: 0 }),
          overruled: () => world.overruled,
          onChange() {},
          onState: (listener) => {
            listeners.add(listener);
          },
        },
    link: {
      on: async (enforceAt, sole) => act(`link-on ${enforceAt}${sole ? ' sole' : ''}`, () => change(true)),
      limit: async (enforceAt) => act(`limit ${enforceAt}`),
      canLimit: async () => (breaks.has('lifetimes') ? failed('no lifetimes') : DONE),
      off: async () => {
        world.stuck = false;
        return act('link-off', () => change(false));
      },
      place: () => act('place', () => change(true)).ok,
      drop: () => void act('drop'),
    },
    linkIsActuator: address,
    lifetimes: options.lifetimes ?? false,
    killSockets: async () => act('sockets'),
    watch: {
      present: () => world.present,
      any: () => world.present,
      until: async (wanted) => world.present === wanted,
      onChange: (listener) => {
        listeners.add(listener);
      },
    },
    wire: (active) => void acts.push(`wire ${active ? 'on' : 'off'}`),
    sink: (fact) => {
      facts.push(fact);
      for (const look of waiting) look();
    },
    now: () => clock.ms,
    log() {},
    limits: { tickMs: 20, cooldownMs: 10, cooldownMaxMs: 20, grantMs: 100, aloneMs: 200 },
  };
  const port = createVip(parts);
  let seen = 0;
  return {
    acts,
    facts,
    breaks,
    clock,
    get stuck() {
      return world.stuck;
    },
    set stuck(stuck) {
      world.stuck = stuck;
    },
    get overruled() {
      return world.overruled;
    },
    set overruled(overruled) {
      world.overruled = overruled;
    },
    get judge() {
      return world.judge;
    },
    set judge(judge) {
      world.judge = judge;
      for (const listener of listeners) listener();
    },
    apply: (want) => port.apply(want),
    setPresent: (present) => change(present),
    fact(k) {
      return new Promise((resolve) => {
        const look = () => {
          const at = facts.findIndex((fact) => fact.k === k);
          const found = facts[at];
          if (found?.k !== k) return;
          facts.splice(at, 1);
          waiting.delete(look);
          resolve(found as Extract<Input, { k: typeof k }>);
        };
        waiting.add(look);
        look();
      });
    },
    async settle() {
      for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    },
    taken() {
      const fresh = acts.slice(seen);
      seen = acts.length;
      return fresh;
    },
    close: () => port.close(),
  };
}
