// One failure of one Ollama, as benches and end-to-end tests make it.
import type { Host } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';

/** A failure. */
export type HealthCase = {
  readonly id: string;
  /** The name of the verdict. */
  readonly kind: string;
  /** Longest time until it is named, ms. */
  readonly limitMs: number;
  readonly moves: boolean;
  /** There is a goal for its time: benches make it more often than the others. */
  readonly goal?: true;
  /** It is made on a standby instead of the holder. */
  readonly standby?: true;
  /** What the sentence of `agentctl explain` must contain, beside the name. */
  readonly says?: string;
  /** What `agentctl status` must warn of meanwhile. */
  readonly warns?: string;
  /** Makes it on this host; the moment, monotonic ms. */
  inject(lab: Lab, host: Host): Promise<number>;
  heal(lab: Lab, host: Host): Promise<void>;
};
