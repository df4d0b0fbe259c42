// The stage of one run: a lab, who holds the lease in it, and what a fault may do to them.
import type { Host } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import type { Timing } from './timing.ts';

/** What a fault's injection is given. */
export type Scene = {
  readonly lab: Lab;
  /** The active node, or what a baseline has in its place. */
  readonly holder: Host;
  readonly others: readonly Host[];
  readonly timing: Timing;
  /** The short form of tests instead of the bench's: seconds instead of minutes. */
  readonly short: boolean;
  /** Resolves once another node than the holder is active; an error when that takes longer than 20 s. */
  moved(): Promise<void>;
  /** Asks the holder for a planned move and waits for it. */
  switchover(): Promise<void>;
};

/** A fault and what is expected of it. */
export type FaultCase = {
  readonly name: string;
  readonly about: string;
  /** `prepared`: agents with a clock of their own, Redis servers started by the lab (see prepared.ts). */
  readonly lab: 'plain' | 'prepared';
  /** Where its outage begins. */
  readonly from: 'fault' | 'first failure';
  /** What the role does. */
  readonly role: 'moves' | 'stays' | 'may move';
  /** What tests assert of the outage, ms. */
  bound(timing: Timing): number;
  /** Once per preset, however many runs are wanted. */
  readonly once?: true;
  /** Does it; the moment from which the outage counts, monotonic ms. */
  inject(scene: Scene): Promise<number>;
  /** The fault lasts at least this long, ms. Default: until the clients are served again. */
  lastsMs?(scene: Scene): number;
  /** Ends it. */
  heal?(scene: Scene): Promise<void>;
  /** Undoes, after the measurement, what a later run would stumble over. */
  reset?(scene: Scene): Promise<void>;
};
