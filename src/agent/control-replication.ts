// What an operator may ask about the copying of models on one node. Re-exported by control.ts; shapes mirror proto/control.proto.
import type { CommandOutcome, ControlCaller } from './control.ts';

/** The calls; the same rules as for ControlHandlers. */
export type ReplicationHandlers = {
  state(caller: ControlCaller): Promise<ReplicationView>;
  order(request: ReplicationOrder, caller: ControlCaller): Promise<CommandOutcome>;
  /** `id` 0 starts a pass over `models` ([] = all); another id asks how that pass stands. */
  verify(request: VerifyRequest, caller: ControlCaller): Promise<VerifyView>;
  /** Brings a quarantined model back; `as` '' = under its own name. */
  restore(request: { readonly model: string; readonly as: string; readonly by: string }, caller: ControlCaller): Promise<CommandOutcome>;
};

/** An order to the replication of one node. */
export type ReplicationOrder = {
  readonly action: 'pause' | 'resume' | 'now' | 'limit' | 'accept-deletes';
  readonly by: string;
  /** For `limit`; 0 = none. */
  readonly bytesPerSecondMax: number;
};

/** A pass to start, or to ask about. */
export type VerifyRequest = { readonly id: number; readonly models: readonly string[]; readonly repair: boolean; readonly by: string };

/** `agentctl replication status`. Times in ms, -1 = unknown or none. */
export type ReplicationView = {
  readonly node: string;
  /** Whom this node copies from; '' = nobody. */
  readonly source: string;
  readonly paused: boolean;
  /** '' = always open. */
  readonly window: string;
  readonly windowOpen: boolean;
  readonly bytesPerSecondMax: number;
  readonly blocked: string;
  readonly modelsComplete: number;
  readonly modelsTotal: number;
  readonly bytesBehind: number;
  readonly transfers: readonly TransferRow[];
  readonly deletes: readonly { readonly model: string; readonly dueInMs: number }[];
  /** Why no deletion is followed; '' = nothing is wrong. */
  readonly alert: string;
  readonly quarantine: readonly QuarantineRow[];
  readonly scrub: ScrubView;
  /** Models that differ from the active's. */
  readonly conflicts: readonly string[];
  /** Models that only this node has. */
  readonly extra: readonly string[];
};

/** One model on its way. */
export type TransferRow = {
  readonly model: string;
  readonly from: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  readonly phase: string;
  readonly note: string;
  readonly etaMs: number;
};

/** One kept model or blob. */
export type QuarantineRow = {
  readonly id: string;
  readonly kind: string;
  readonly model: string;
  readonly atMs: number;
  readonly heldBytes: number;
};

/** The slow reading of everything at rest. `nextAtMs` 0 = off. */
export type ScrubView = {
  readonly running: boolean;
  readonly checkedBlobs: number;
  readonly checkedBytes: number;
  readonly totalBlobs: number;
  readonly corruptBlobs: number;
  readonly lastDoneAtMs: number;
  readonly nextAtMs: number;
};

/** How a pass of `agentctl verify` stands. */
export type VerifyView = {
  readonly id: number;
  readonly phase: 'reading' | 'repairing' | 'done';
  readonly models: number;
  readonly blobs: number;
  readonly blobsDone: number;
  readonly bytes: number;
  readonly bytesDone: number;
  readonly bad: readonly BadBlob[];
};

/** A blob that is not what its name says, or not there. */
export type BadBlob = {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly models: readonly string[];
  readonly state: 'corrupt' | 'missing' | 'repaired';
};
