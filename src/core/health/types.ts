// Health's vocabulary: evidence about the local Ollama, and the verdict over it.

/** One observation of the local Ollama. Every kind has its own cadence; a missing one is not bad news. */
export type Evidence =
  /** The held idle TCP connection: opened, or closed by the other side. */
  | { readonly k: 'conn'; readonly up: boolean }
  /** One fresh connect after the held connection closed: refused means nobody listens. */
  | { readonly k: 'connect'; readonly result: 'ok' | 'refused' | 'timeout' | 'error' }
  /** GET /api/version. `status` 0 = no answer within the deadline although connected. */
  | { readonly k: 'http'; readonly status: number; readonly ms: number; readonly version: string }
  /** GET /api/tags: names listed, or a failing status. */
  | { readonly k: 'tags'; readonly status: number; readonly ms: number; readonly names: readonly string[] }
  /** GET /api/ps. */
  | { readonly k: 'ps'; readonly status: number; readonly ms: number; readonly loaded: readonly LoadedModel[] };

/** One row of /api/ps. */
export type LoadedModel = {
  readonly name: string;
  /** Manifest digest, bare hex. */
  readonly digest: string;
  readonly sizeBytes: number;
  readonly vramBytes: number;
  readonly contextLength: number | null;
};

/** Verdict with its reason in words. `down` is the only one that moves the role. */
export type Verdict = {
  readonly ollama: 'up' | 'starting' | 'degraded' | 'down' | 'unknown';
  readonly reason: string;
  /** Monotonic ms of the newest evidence; -Infinity = none. */
  readonly at: number;
  readonly version: string;
};

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
};
