// Health's vocabulary: evidence about the local Ollama, and the verdict over it.
import type { LevelConfig } from './config.ts';
import type { RemedyConfig, RemedyOrder } from './remedy-types.ts';

/** One observation of the local Ollama. Every kind has its own cadence; a missing one is not bad news. */
export type Evidence =
  /** The held idle TCP connection: opened, or closed by the other side. */
  | { readonly k: 'conn'; readonly up: boolean }
  /** One fresh connect: refused means nobody listens. `ms`: since it was tried; absent = just now. */
  | { readonly k: 'connect'; readonly result: 'ok' | 'refused' | 'timeout' | 'error'; readonly ms?: number }
  /** GET /api/version. `status` 0 = no answer within the deadline although connected. */
  | { readonly k: 'http'; readonly status: number; readonly ms: number; readonly version: string }
  /** GET /api/tags: names listed, or a failing status. `abilities`: what each name can do, where the list tells. */
  | {
      readonly k: 'tags';
      readonly status: number;
      readonly ms: number;
      readonly names: readonly string[];
      readonly abilities?: ReadonlyMap<string, readonly string[]>;
    }
  /** GET /api/ps. */
  | { readonly k: 'ps'; readonly status: number; readonly ms: number; readonly loaded: readonly LoadedModel[] }
  /** The process that serves. `pid` null = not found. `startedAt`: clock ticks; `state`: the kernel's letter, '' = unknown. */
  | { readonly k: 'process'; readonly pid: number | null; readonly startedAt: number; readonly state: string }
  /** Every runner process of this Ollama, and what its own /health said. */
  | { readonly k: 'runners'; readonly runners: readonly RunnerSeen[] }
  | ({ readonly k: 'traffic' } & Traffic)
  /** One token asked of a loaded model. */
  | {
      readonly k: 'canary';
      readonly seq: number;
      readonly result: 'ok' | 'silent' | 'error';
      readonly status: number;
      readonly ms: number;
      readonly error: string;
      /** Ollama's cache denies what the model can do, and /api/show tells it. */
      readonly poisoned?: boolean;
    }
  | { readonly k: 'disk'; readonly freeBytes: number; readonly totalBytes: number }
  /** `oomKills`: processes the kernel has killed for memory since boot; null = not told. */
  | { readonly k: 'memory'; readonly availableBytes: number; readonly totalBytes: number; readonly oomKills: number | null }
  /** The graphics cards' own tool. `error` '' = it answered. */
  | { readonly k: 'gpu'; readonly error: string; readonly usedBytes: number; readonly totalBytes: number }
  /** A load that the hot set asked for. */
  | {
      readonly k: 'load';
      readonly model: string;
      readonly state: 'started' | 'done' | 'failed';
      readonly ms: number;
      readonly error: string;
      readonly poisoned?: boolean;
    }
  | { readonly k: 'remedied'; readonly id: number; readonly ok: boolean; readonly text: string };

/** One runner process. */
export type RunnerSeen = {
  readonly pid: number;
  /** Start time in clock ticks: tells two processes with one pid apart. */
  readonly startedAt: number;
  readonly port: number;
  /** Digest of the weights it was started with, bare hex; '' = not told. */
  readonly weights: string;
  readonly answer: 'ok' | 'loading' | 'silent';
  readonly ms: number;
  /** It used CPU time since it was looked at before. */
  readonly worked: boolean;
  /** Stopped by a signal. */
  readonly stopped: boolean;
};

/** What TCP tells of requests. Own connections of the agent are not in it. */
export type Traffic = {
  /** Established connections of users. */
  readonly users: number;
  /** Sent to users, and by runners to Ollama, since the look before, bytes. */
  readonly movedBytes: number;
  /** About how many tokens the runners made since then; absent = not counted. */
  readonly tokens?: number;
  /** Requests that have no byte yet, and how long the oldest waits. */
  readonly waiting: number;
  readonly waitingMs: number;
  /** Requests that a runner has taken and not begun to answer. */
  readonly prompting: number;
  /** Connections on which an answer began. */
  readonly speaking: number;
  /** Since the last byte to any user or from any runner; Infinity = none is known. */
  readonly quietMs: number;
  /** Since the last byte on the connections on which an answer began; Infinity = there is none. */
  readonly saidMs: number;
};

/** One row of /api/ps. */
export type LoadedModel = {
  readonly name: string;
  /** Manifest digest, bare hex. */
  readonly digest: string;
  readonly sizeBytes: number;
  readonly vramBytes: number;
  readonly contextLength: number | null;
  /** Until it leaves memory, ms; null = never, absent = not told. */
  readonly expiresInMs?: number | null;
  /** Digest of its weights, as the own store tells; absent = not known. */
  readonly weights?: string;
};

/** What is wrong, by name; `healthy` = nothing. */
export type VerdictKind =
  | 'healthy'
  | 'unknown'
  | 'starting'
  | 'slow'
  | 'process-dead'
  | 'server-hung'
  | 'crash-loop'
  | 'http-error'
  | 'hung-runner'
  | 'stalled-stream'
  | 'gpu-hang'
  | 'scheduler-deadlock'
  | 'runner-errors'
  | 'runner-crash-loop'
  | 'list-broken'
  | 'list-error'
  | 'models-missing'
  | 'gpu-lost'
  | 'disk-full'
  | 'hot-set-lost'
  | 'cache-poisoned'
  | 'runner-dead'
  | 'scheduler-busy'
  | 'stuck-unload'
  | 'vision-broken'
  | 'vram-short'
  | 'slow-tokens'
  | 'zombie-runner'
  | 'reload-thrash'
  | 'slow-load'
  | LoadTroubleKind;

/** Why a load of the hot set failed. */
export type LoadTroubleKind = 'load-crash' | 'load-stall' | 'memory-short' | 'model-damaged' | 'version-skew' | 'load-failed';

/** Verdict with its reason in words. `down` moves the role to any node that may take it, `unfit` only to one that is fitter. */
export type Verdict = {
  readonly ollama: 'up' | 'starting' | 'degraded' | 'down' | 'unknown';
  readonly reason: string;
  /** Monotonic ms of the newest evidence; -Infinity = none. */
  readonly at: number;
  readonly version: string;
  readonly kind: VerdictKind;
  /** It serves, but a node without this trouble would serve better. */
  readonly unfit: boolean;
};

/** The levels of evidence, the surest proof last. */
export const LEVELS = ['process', 'http', 'store', 'runner', 'progress', 'disk', 'memory', 'gpu'] as const;
export type LevelName = (typeof LEVELS)[number];

/** One level as status shows it. `at`: monotonic ms of its newest evidence, -Infinity = none. */
export type Level = {
  readonly level: LevelName;
  readonly state: 'unknown' | 'ok' | 'warning' | 'failed';
  readonly text: string;
  readonly at: number;
};

/** Ask one token of this model. A new `seq` is a new question. */
export type CanaryOrder = {
  readonly seq: number;
  readonly model: string;
  readonly numCtx: number | null;
  readonly image: boolean;
  readonly deadlineMs: number;
  /** Asked only while this very process lives and is not stopped: it may have died since it was looked at, and a question would load it again. */
  readonly runner?: { readonly pid: number; readonly startedAt: number };
};

/** What health wants of its driver, level triggered. */
export type HealthWant = { readonly canary: CanaryOrder | null; readonly remedy: RemedyOrder | null };

/** Timing of health, ms. */
export type HealthConfig = {
  readonly probeMs: number;
  readonly timeoutMs: number;
  /** Consecutive probes without an answer until `down`; a refused connect needs none of them. */
  readonly failures: number;
  /** Consecutive good probes until `up` again. */
  readonly recoveries: number;
  /** Connect works but HTTP is silent after a start: `starting` this long, then `down`. */
  readonly startMs: number;
  /** Models that must be listed. */
  readonly required: readonly string[];
  /** The levels beside HTTP; absent = the defaults. */
  readonly levels?: LevelConfig;
  /** Absent = none is allowed. */
  readonly remedies?: RemedyConfig;
};
