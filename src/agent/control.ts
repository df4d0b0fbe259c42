// What an operator may ask of an agent. drivers/grpc serves it on the Unix socket and on the peer port; the agent answers.
// The shapes mirror proto/control.proto in plain numbers; durations in ms, -1 = unknown where a field may be.

/** Who asks, as far as the transport proved it, and a signal that ends when the caller gives up. */
export type ControlCaller = {
  /** `socket`: a local user who may open the socket. `operator`, `node`: the certificate's kind. */
  readonly via: 'socket' | 'operator' | 'node';
  /** The name in the certificate; '' over the socket. */
  readonly name: string;
  readonly signal: AbortSignal;
};

/** One async function per call. Throw a ControlError for what the operator can mend; anything else is reported as a bug. */
export type ControlHandlers = {
  status(caller: ControlCaller): Promise<StatusView>;
  explain(request: { readonly node: string }, caller: ControlCaller): Promise<ExplainView>;
  history(request: { readonly limit: number }, caller: ControlCaller): Promise<readonly HistoryRow[]>;
  models(caller: ControlCaller): Promise<ModelsView>;
  switchover(
    request: { readonly to: string; readonly by: string; readonly dryRun: boolean },
    caller: ControlCaller,
  ): Promise<CommandOutcome>;
};

/** An operator's error: what is wrong and what to do about it. */
export class ControlError extends Error {
  readonly code: 'not_found' | 'invalid' | 'unavailable' | 'refused';
  readonly hint: string;

  constructor(code: ControlError['code'], message: string, hint: string) {
    super(message);
    this.name = 'ControlError';
    this.code = code;
    this.hint = hint;
  }
}

/** `agentctl status`. */
export type StatusView = {
  readonly cluster: string;
  readonly asked: string;
  readonly viewAgeMs: number;
  readonly epoch: number;
  readonly holder: string;
  readonly leaseAgeMs: number;
  readonly leaseLeftMs: number;
  readonly preset: string;
  readonly ttlMs: number;
  readonly renewMs: number;
  readonly pollMs: number;
  readonly lockDelayMs: number;
  readonly lockDelayWhy: string;
  readonly vip: string;
  readonly vipOwner: string;
  readonly vipOwnerMac: string;
  readonly vipOwnerAgeMs: number;
  readonly mode: 'normal' | 'failsafe' | 'paused' | 'no-redis' | 'degraded';
  readonly reason: string;
  readonly nodes: readonly NodeRow[];
  readonly warnings: readonly string[];
  readonly redis: readonly RedisRow[];
  readonly splitBrain: boolean;
  readonly version: string;
};

/** One node of the status. */
export type NodeRow = {
  readonly node: string;
  readonly address: string;
  readonly role: 'active' | 'standby' | 'witness' | 'gone' | 'unknown';
  readonly assignedRole: string;
  readonly state: 'alive' | 'suspect' | 'dead' | 'left' | 'self';
  readonly ollama: string;
  readonly ollamaReason: string;
  readonly ollamaAgeMs: number;
  readonly epoch: number;
  readonly vip: string;
  readonly fence: string;
  readonly seenMs: number;
  readonly modelsComplete: number;
  readonly modelsTotal: number;
  readonly bytesBehind: number;
  readonly hot: number;
  readonly hotWanted: number;
  readonly tags: readonly string[];
  readonly vetoes: readonly string[];
  readonly rank: number;
  readonly rttMs: number;
  readonly version: string;
  readonly ollamaVersion: string;
};

/** One lease server of the status. */
type RedisRow = {
  readonly server: string;
  readonly runId: string;
  readonly up: boolean;
  readonly latencyMs: number;
  readonly lastError: string;
  readonly lastReplyAgeMs: number;
};

/** `agentctl explain NODE`. */
export type ExplainView = {
  readonly node: string;
  readonly mayTakeOver: boolean;
  readonly vetoes: readonly { readonly code: string; readonly text: string }[];
  readonly facts: readonly string[];
};

/** One change of holder. */
export type HistoryRow = {
  readonly epoch: number;
  readonly from: string;
  readonly to: string;
  readonly cause: string;
  readonly reason: string;
  readonly by: string;
  readonly atMs: number;
  readonly phasesMs: Readonly<Record<string, number>>;
};

/** `agentctl models`. */
export type ModelsView = { readonly models: readonly ModelRow[]; readonly nodes: readonly string[] };

/** One model and where it is. */
type ModelRow = { readonly name: string; readonly sizeBytes: number; readonly cells: readonly ModelCell[] };

/** One model on one node. */
export type ModelCell = {
  readonly node: string;
  readonly state: 'complete' | 'partial' | 'missing' | 'differs' | 'unknown';
  readonly bytesBehind: number;
  readonly hot: boolean;
  readonly manifestDigest: string;
};

/** What became of a command. */
export type CommandOutcome = {
  readonly outcome: 'done' | 'refused' | 'nothing' | 'incomplete' | 'unknown';
  readonly text: string;
  readonly vetoes: readonly string[];
  readonly epoch: number;
  readonly phasesMs: Readonly<Record<string, number>>;
};
