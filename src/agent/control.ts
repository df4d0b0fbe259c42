// What an operator may ask of an agent. drivers/grpc serves it on the Unix socket and on the peer port; the agent answers.
// The shapes mirror proto/control.proto in plain numbers; durations in ms, -1 = unknown where a field may be.

import type { AlertHandlers, LogLevelHandler } from './control-alerts.ts';
import type { ReplicationHandlers } from './control-replication.ts';

/** Who asks, as far as the transport proved it, and a signal that ends when the caller gives up. */
export type ControlCaller = {
  /** `socket`: a local user who may open the socket. `operator`, `node`: the certificate's kind. */
  readonly via: 'socket' | 'operator' | 'node';
  /** The name in the certificate; '' over the socket. */
  readonly name: string;
  readonly signal: AbortSignal;
};

export type { AlertHandlers, AlertsView } from './control-alerts.ts';
export type {
  ReplicationHandlers,
  ReplicationOrder,
  ReplicationView,
  VerifyView,
} from './control-replication.ts';

/** One async function per call. Throw a ControlError for what the operator can mend; anything else is reported as a bug. */
export type ControlHandlers = {
  /** Absent on a node without a model store. */
  readonly replication?: ReplicationHandlers;
  readonly alerts?: AlertHandlers;
  readonly logLevel?: LogLevelHandler;
  status(caller: ControlCaller): Promise<StatusView>;
  explain(request: { readonly node: string }, caller: ControlCaller): Promise<ExplainView>;
  history(request: { readonly limit: number }, caller: ControlCaller): Promise<readonly HistoryRow[]>;
  models(caller: ControlCaller): Promise<ModelsView>;
  switchover(
    request: {
      readonly to: string;
      readonly by: string;
      readonly dryRun: boolean;
      /** Wall-clock ms; 0 = now. */
      readonly atMs: number;
      /** Takes a planned one back. */
      readonly cancel: boolean;
    },
    caller: ControlCaller,
  ): Promise<CommandOutcome>;
  pause(request: { readonly paused: boolean; readonly by: string; readonly wait: boolean }, caller: ControlCaller): Promise<CommandOutcome>;
  maintenance(
    request: {
      /** '' = the asked node. */
      readonly node: string;
      readonly on: boolean;
      readonly by: string;
      readonly wait: boolean;
      /** Null = without regard for open requests. */
      readonly drainMs: number | null;
    },
    caller: ControlCaller,
  ): Promise<CommandOutcome>;
  failover(request: { readonly to: string; readonly by: string }, caller: ControlCaller): Promise<CommandOutcome>;
  leave(request: { readonly by: string }, caller: ControlCaller): Promise<CommandOutcome>;
  forget(request: { readonly node: string; readonly by: string }, caller: ControlCaller): Promise<CommandOutcome>;
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
  /** Who paused; '' = not paused. */
  readonly pausedBy: string;
  readonly planned: { readonly to: string; readonly atMs: number; readonly by: string } | null;
  readonly roster: readonly string[];
  readonly rosterVersion: number;
  readonly settingsVersion: number;
  /** keepalived's own view here; null = it does not move the address. `sinceMs` -1 = no change seen. */
  readonly keepalived: {
    readonly state: string;
    readonly running: boolean;
    readonly priority: number;
    readonly sinceMs: number;
    /** Where it has differed from the agent for more than a second; '' = nowhere. */
    readonly differs: string;
  } | null;
  /** Lateness of the main loop, 99th percentile of the last minute. */
  readonly loopLateP99Ms: number;
  /** The asked node's Ollama, level by level. */
  readonly health: readonly HealthRow[];
  /** What of the hot set is not in memory there, and why. */
  readonly hotMissing: readonly string[];
  /** Wall clock of the asked node when it answered, ms since 1970. */
  readonly wallMs: number;
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
  /** It lost the role so often lately that it stands behind the others for this long; 0 = it does not. */
  readonly backoffMs: number;
  /** The trouble of its Ollama by name. */
  readonly ollamaKind: string;
  readonly loaded: readonly string[];
};

/** One level of evidence. `ageMs` -1 = none yet. */
export type HealthRow = { readonly level: string; readonly state: string; readonly text: string; readonly ageMs: number };

/** One lease server of the status. */
type RedisRow = {
  readonly server: string;
  readonly runId: string;
  readonly up: boolean;
  readonly latencyMs: number;
  readonly lastError: string;
  readonly lastReplyAgeMs: number;
  /** Over the newest replies, 256 at most. */
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
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
