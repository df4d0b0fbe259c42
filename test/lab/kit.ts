// What a lab puts on its hosts. The product is one kit (product.ts); baselines and the lab's own tests bring others.
import type { UnitSpec } from './supervisor/protocol.ts';

/** A host before anything runs on it. Directories exist, are root's and are removed with the lab. */
export type HostPlan = {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  /** All hosts of the lab, this one included. */
  readonly peers: readonly { readonly name: string; readonly address: string }[];
  /** Run-time files: emptied when the host is revived, as a boot would. */
  readonly runDir: string;
  /** What outlives a reboot: configuration, stores, state. */
  readonly dataDir: string;
  readonly logDir: string;
};

/** Prepares the hosts of one lab. */
export type Kit = {
  /** Once, before any host: what all share. */
  prepareLab?(plans: readonly HostPlan[]): Promise<void>;
  /** Writes a host's files and says which units it runs, in the order of their start. */
  prepareHost(plan: HostPlan): Promise<readonly UnitSpec[]>;
  /** At every boot of a host, the first included: its run-time directories are empty. */
  boot?(plan: HostPlan): Promise<void>;
  /** The agent's configuration file of a host, for `agentctl`. */
  configFile?(plan: HostPlan): string;
  /** Pid files of processes that a unit starts and outlives. */
  pidFiles?(plan: HostPlan): Readonly<Record<string, string>>;
};
