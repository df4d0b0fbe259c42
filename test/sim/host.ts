// A host of the world: its clocks, its process, its address.
import type { SavedState } from '../../src/core/config.ts';
import { NO_SETTINGS } from '../../src/core/settings/types.ts';
import type { NodeId, Now } from '../../src/core/types.ts';
import type { Random } from './random.ts';
import type { Hints, SimAgent, SimTurn } from './types.ts';
import type { Delivery } from './world.ts';

/** One host. Mutable; world times unless a field says local (= the host's monotonic ms). */
export type Host = {
  readonly index: number;
  readonly id: NodeId;
  /** Local milliseconds per world millisecond. */
  readonly rate: number;
  readonly random: Random;
  monoOffset: number;
  bootOffset: number;
  wallOffset: number;
  /** Counts process starts; anything meant for an older one is dropped. */
  inc: number;
  boot: number;
  /** Boot in the owner text of its lease: an earlier one after a hand-on. */
  ownerBoot: number;
  /** What is to happen with the answer to an order of the world itself. */
  awaited: { readonly id: number; readonly settle: (outcome: string) => void } | null;
  bornAt: number;
  agent: SimAgent | null;
  turn: SimTurn | null;
  pausedUntil: number;
  frozenSince: number;
  inbox: Delivery[];
  stalled: boolean;
  timerAt: number;
  timerVersion: number;
  epochOnDisk: number;
  disk: SavedState;
  readonly nofailover: boolean;
  fence: boolean;
  readonly hints: Hints;
  /** World time of the last gossip heard from each host, by index. */
  readonly heardAt: Float64Array;
  leader: number;
  leaderEpoch: number;
  lieUntil: number;
  lieRank: number;
  ollamaDownUntil: number;
  /** Local time until which something of this host may answer for the address if nobody ends it; -Infinity = ended. */
  effectsValid: number;
  effectsEpoch: number;
  vip: 'on' | 'off' | 'dropping';
  vipVersion: number;
};

/** Monotonic clock of a host, ms. It stands still while the host is frozen. */
export function monoAt(host: Host, t: number): number {
  return host.monoOffset + host.rate * (host.frozenSince >= 0 ? host.frozenSince : t);
}

/** The three clocks of a host. */
export function clocksAt(host: Host, t: number): Now {
  return { mono: host.monoOffset + host.rate * t, boot: host.bootOffset + host.rate * t, wall: host.wallOffset + host.rate * t };
}

/** World time at which the host's monotonic clock shows `mono`. */
export function worldTimeOf(host: Host, mono: number): number {
  return (mono - host.monoOffset) / host.rate;
}

/** Local time at which the last effect of this host ends if nobody ends it earlier: a fence ends it at validUntil, without one it takes lockDelay more. */
export function effectsEndOf(host: Host, lockDelayMs: number): number {
  return host.effectsValid + (host.fence ? 0 : lockDelayMs);
}

/** A host before its first start. */
export function createHost(index: number, agents: number, random: Random, rateError: number, nofailover: boolean): Host {
  const offset = random.between(0, 1e6);
  return {
    index,
    id: `n${index}`,
    rate: 1 + random.between(-rateError, rateError),
    random,
    monoOffset: offset,
    bootOffset: offset + random.between(0, 1e5),
    wallOffset: 1.7e12 + random.between(-100, 100),
    inc: 0,
    boot: 0,
    ownerBoot: 0,
    awaited: null,
    bornAt: 0,
    agent: null,
    turn: null,
    pausedUntil: 0,
    frozenSince: -1,
    inbox: [],
    stalled: false,
    timerAt: Number.POSITIVE_INFINITY,
    timerVersion: 0,
    epochOnDisk: 0,
    disk: { settings: NO_SETTINGS, roster: null, historyEpoch: 0, losses: [] },
    nofailover,
    fence: true,
    hints: { rank: 0, suspicious: false, gossipEpoch: 0, stalled: false },
    heardAt: new Float64Array(agents),
    leader: -1,
    leaderEpoch: 0,
    lieUntil: 0,
    lieRank: 0,
    ollamaDownUntil: 0,
    effectsValid: Number.NEGATIVE_INFINITY,
    effectsEpoch: 0,
    vip: 'off',
    vipVersion: 0,
  };
}
