// The small interface between the simulated world and an agent: whoever implements SimAgent can live in the world.
import type { SavedState } from '../../src/core/config.ts';
import type { Effect, Input } from '../../src/core/io.ts';
import type { HandOn } from '../../src/core/lease/handon.ts';
import type { LeaseConfig, LeaseDesired } from '../../src/core/lease/types.ts';
import type { Member, MemberUpdate } from '../../src/core/membership/types.ts';
import type { Settings } from '../../src/core/settings/types.ts';
import type { Identity, NodeId, Now } from '../../src/core/types.ts';
import type { Mode, PresetName } from './presets.ts';

/** What a turn of an agent leaves for the world. */
export type SimTurn = {
  readonly effects: readonly Effect[];
  readonly lease: LeaseDesired;
  /** The address is wanted here. */
  readonly acting: boolean;
  /** Monotonic ms of the agent. */
  readonly wakeAt: number;
  readonly reason: string;
};

/** One process incarnation of an agent. */
export type SimAgent = {
  readonly turn: (input: Input, now: Now) => SimTurn;
  /** Number of values its state holds; must stay bounded. */
  readonly size: () => number;
  /** Its membership table, for the exchange of tables; whole-core agents only. */
  readonly table?: (now: Now) => readonly MemberUpdate[];
  /** What it believes of the others; whole-core agents only. */
  readonly members?: () => readonly Pick<Member, 'node' | 'boot' | 'state' | 'accusers'>[];
  /** The operators' settings it goes by, and the newest roster it knows; whole-core agents only. */
  readonly settings?: () => Settings;
  readonly roster?: () => readonly NodeId[];
  /** Epoch of the holder it knows of; whole-core agents only. */
  readonly holderEpoch?: () => number;
  /** Its lease as it can be handed on now; whole-core agents only. */
  readonly handOn?: (now: Now) => HandOn | null;
  /** Boot in the owner text of its lease; that of an earlier process after a hand-on. */
  readonly ownerBoot?: () => number;
};

/** What gossip would tell a lease-only agent; written by the world, read by the agent at every turn. A whole-core agent has its own gossip and ignores it. */
export type Hints = {
  rank: number;
  suspicious: boolean;
  gossipEpoch: number;
  stalled: boolean;
};

/** Everything a new process of an agent gets to know. */
export type Spawn = {
  readonly self: Identity;
  readonly roster: readonly NodeId[];
  readonly lease: LeaseConfig;
  readonly now: Now;
  readonly seed: number;
  readonly epochOnDisk: number;
  readonly fence: boolean;
  readonly hints: Hints;
  /** Whom its configuration names, itself excluded. */
  readonly peers: readonly NodeId[];
  readonly nofailover: boolean;
  /** What earlier processes of this host left on its disk. */
  readonly saved: SavedState;
  readonly handOn: HandOn | null;
};

/** Starts an agent. */
export type AgentFactory = (spawn: Spawn) => SimAgent;

/** Who plays: lease-only agents, or whole cores, which need streams, probes and evidence beside the lease's world. */
export type Cast = { readonly spawn: AgentFactory; readonly whole: boolean };

/** `sound`: the scripts as they are. The others serve mutants: scripts that do not compare the run_id, a READ that leaves no tombstone. */
export type RedisKind = 'sound' | 'noRun' | 'noTombstone';

/** What determines a run completely, together with the code. */
export type RunOptions = {
  readonly seed: number;
  readonly preset: PresetName;
  /** Redis servers: 1, 3 or 5. */
  readonly servers: number;
  readonly mode: Mode;
  readonly agents: number;
  /** Hosts beside them that join while the run goes on, each knowing one peer. */
  readonly joiners: number;
  /** Bound on the clock-rate error of the agents; 0.005 unless a mutant goes beyond. */
  readonly rateError: number;
  readonly redis: RedisKind;
  /** Names of the checkers to use; null = all. */
  readonly checkers: readonly string[] | null;
  /** Faults of the seed's schedule to leave out, by index. */
  readonly without: ReadonlySet<number>;
  readonly trace: boolean;
};

/** A broken invariant. */
export type Violation = { readonly invariant: string; readonly at: number; readonly text: string };

/** Outcome of one run. Times in ms. */
export type RunResult = {
  readonly violation: Violation | null;
  /** Share of the run in which an agent was active. */
  readonly activeShare: number;
  readonly failoverMs: readonly number[];
  readonly handoverMs: readonly number[];
  readonly elections: number;
  readonly failsafeExtensions: number;
  readonly epochRegressions: number;
  readonly faults: readonly string[];
  readonly transcript: readonly string[];
  readonly turns: number;
};
