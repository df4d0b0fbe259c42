// What operators set for the whole cluster: pause, maintenance of nodes, one planned switchover.
import type { NodeId } from '../types.ts';

/** A node that shall not be active. */
export type Maintenance = {
  readonly node: NodeId;
  readonly by: string;
  /** Wall-clock ms until which open requests are waited for before the role moves; 0 = it moves at once. */
  readonly drainUntilMs: number;
};

/** A switchover planned for later. */
export type Schedule = {
  /** Version of the record that brought it; tells two schedules apart. */
  readonly id: number;
  /** '' = the best heir of that moment. */
  readonly to: NodeId | '';
  /** Wall-clock ms. The clock of whoever is the holder then decides. */
  readonly atMs: number;
  readonly by: string;
};

/** The one settings record of a cluster. Every node holds it; the highest version wins. */
export type Settings = {
  /** 0 = nothing was ever set. */
  readonly version: number;
  readonly paused: boolean;
  /** Who paused; '' while not paused. */
  readonly pausedBy: string;
  /** Sorted by node, each node once. */
  readonly maintenance: readonly Maintenance[];
  readonly schedule: Schedule | null;
};

/** One change that an operator, or the carrying out of a schedule, makes to the record. */
export type SettingsChange =
  | { readonly k: 'pause'; readonly paused: boolean; readonly by: string }
  | { readonly k: 'maintenance'; readonly node: NodeId; readonly on: boolean; readonly by: string; readonly drainUntilMs: number }
  | { readonly k: 'schedule'; readonly to: NodeId | ''; readonly atMs: number; readonly by: string }
  | { readonly k: 'unschedule' }
  /** Everything that names the node is dropped: it left, or was forgotten. */
  | { readonly k: 'drop'; readonly node: NodeId };

/** Before anything was set. */
export const NO_SETTINGS: Settings = { version: 0, paused: false, pausedBy: '', maintenance: [], schedule: null };
