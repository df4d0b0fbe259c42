// What health remembers: facts and streaks of facts, no opinions. The opinions stand in rules.ts.
import type { Now } from '../types.ts';
import { LEVEL_DEFAULTS, type LevelConfig } from './config.ts';
import type { RemedyOrder } from './remedy-types.ts';
import type { CanaryOrder, Evidence, HealthConfig, LoadedModel, LoadTroubleKind, RunnerSeen, Traffic } from './types.ts';

type Answer = { readonly status: number; readonly ms: number };

/** A runner with its streak of silences. */
export type RunnerFact = RunnerSeen & {
  readonly silences: number;
  /** Answers in a row. */
  readonly goods: number;
  /** It was silent for too long, and has not answered often enough since. */
  readonly frozen: boolean;
  /** It has been loading since, or ready and not listed since; Infinity = it is not. Monotonic ms. */
  readonly loadingAt: number;
  readonly unlistedAt: number;
  /** It is ready, and /api/ps does not name it for too long. */
  readonly zombie: boolean;
};

/** The question under way, or the last one. */
export type CanaryFact = {
  readonly order: CanaryOrder | null;
  readonly seq: number;
  readonly askedAt: number;
  readonly open: boolean;
  /** Why it was asked. */
  readonly why: 'idle' | 'quiet' | 'waiting';
  /** Bytes moved, or a request worked on, while it was open. */
  readonly busy: boolean;
  /** Requests without a byte when it was asked. */
  readonly waitingAtAsk: number;
  /** Slowest answer so far, ms. */
  readonly slowestMs: number;
  /** The newest token of each model, by name. */
  readonly okAt: ReadonlyMap<string, number>;
  /** Questions so far to each model, by name. */
  readonly asks: ReadonlyMap<string, number>;
};

/** How long one token takes. */
export type Pace = {
  /** The quickest of each model, ms by name. */
  readonly best: ReadonlyMap<string, number>;
  /** Slow ones in a row, the newest of this model. */
  readonly slow: number;
  readonly model: string;
  readonly ms: number;
};

/** A proof that failed; null = none stands. */
export type ProgressFailure = {
  readonly kind: 'stalled-stream' | 'gpu-hang' | 'runner-errors';
  readonly model: string;
  readonly since: number;
  readonly error: string;
  /** Proofs of the contrary since, in a row. */
  readonly goods: number;
};

/** A model while it stays loaded. */
export type UseFact = { readonly endsAt: number | null; readonly keepMs: number; readonly usedAt: number };

/** What is known of Ollama. Times are monotonic ms, -Infinity = never. */
export type HealthState = {
  readonly config: HealthConfig;
  readonly limits: LevelConfig;
  readonly at: number;
  readonly version: string;
  /** The newest fresh connect was refused, and no connection opened since. */
  readonly refused: boolean;
  /** The held connection opened. */
  readonly openedAt: number;
  /** HTTP has ever answered. */
  readonly served: boolean;
  /** Start of the window in which silence counts as starting. */
  readonly windowAt: number;
  /** HTTP has answered since the window began. */
  readonly answered: boolean;
  /** First answer since the last silence; Infinity while there is none. */
  readonly aliveSince: number;
  /** Probes without an answer, in a row. */
  readonly misses: number;
  /** Probes with an answer, in a row. */
  readonly goods: number;
  /** HTTP answered with an error, and not well often enough since. */
  readonly erring: boolean;
  /** It was down or silent at its start, so `recoveries` good probes are due. */
  readonly distrusted: boolean;
  readonly http: (Answer & { readonly at: number }) | null;
  readonly tags: (Answer & { readonly names: readonly string[]; readonly at: number }) | null;
  readonly abilities: ReadonlyMap<string, readonly string[]>;
  /** The list of models has failed since; Infinity = it has not. */
  readonly listBadSince: number;
  /** Lists that could be read since, in a row. */
  readonly listGoods: number;
  readonly ps: (Answer & { readonly loaded: number; readonly at: number }) | null;
  readonly loaded: readonly LoadedModel[];
  readonly uses: ReadonlyMap<string, UseFact>;
  readonly server: (Extract<Evidence, { k: 'process' }> & { readonly at: number }) | null;
  /** Deaths of the server, and of runners that were still listed. */
  readonly deaths: readonly number[];
  readonly crashes: readonly number[];
  readonly runners: readonly RunnerFact[];
  readonly runnersAt: number;
  /** Starts of runners. */
  readonly starts: readonly { readonly weights: string; readonly at: number }[];
  /** Models past their end that nobody uses, by digest, and since when. */
  readonly overdue: ReadonlyMap<string, number>;
  /** Weights that /api/ps lists without a runner process, and for how many looks. */
  readonly orphans: ReadonlyMap<string, number>;
  readonly traffic: (Traffic & { readonly at: number }) | null;
  /** The newest proof that tokens flow. */
  readonly provenAt: number;
  readonly movedAt: number;
  /** Users had requests here; our own canaries are none. */
  readonly usedAt: number;
  readonly canary: CanaryFact;
  readonly failure: ProgressFailure | null;
  readonly pace: Pace;
  /** A vision model that fails with an image; null = none does. `goods`: images answered well since, in a row. */
  readonly blind: { readonly model: string; readonly since: number; readonly error: string; readonly goods: number } | null;
  readonly disk: (Extract<Evidence, { k: 'disk' }> & { readonly at: number }) | null;
  readonly memory: (Extract<Evidence, { k: 'memory' }> & { readonly at: number }) | null;
  readonly oomAt: number;
  readonly gpu: (Extract<Evidence, { k: 'gpu' }> & { readonly at: number; readonly bad: number; readonly goods: number }) | null;
  /** Largest share in graphics memory seen of each manifest. */
  readonly shares: ReadonlyMap<string, number>;
  /** Models that left memory at once and unbidden. */
  readonly lost: { readonly names: readonly string[]; readonly at: number } | null;
  /** The hot set's load under way. */
  readonly load: { readonly model: string; readonly at: number } | null;
  /** The newest load of the hot set that failed; null = none, or the model is loaded. */
  readonly loadTrouble: { readonly model: string; readonly kind: LoadTroubleKind; readonly error: string; readonly at: number } | null;
  /** The model that Ollama's cache denies; null = none is known. */
  readonly poisoned: string | null;
  readonly remedy: RemedyOrder | null;
  readonly remedied: readonly { readonly id: number; readonly k: RemedyOrder['k']; readonly at: number; readonly text: string }[];
};

/** Knows nothing yet: the first verdict is `unknown`. */
export function createHealth(config: HealthConfig, _now: Now): HealthState {
  return {
    config,
    limits: config.levels ?? LEVEL_DEFAULTS,
    at: -Infinity,
    version: '',
    refused: false,
    openedAt: -Infinity,
    served: false,
    windowAt: -Infinity,
    answered: false,
    aliveSince: Infinity,
    misses: 0,
    goods: 0,
    erring: false,
    distrusted: false,
    http: null,
    tags: null,
    abilities: new Map(),
    listBadSince: Infinity,
    listGoods: 0,
    ps: null,
    loaded: [],
    uses: new Map(),
    server: null,
    deaths: [],
    crashes: [],
    runners: [],
    runnersAt: -Infinity,
    starts: [],
    overdue: new Map(),
    orphans: new Map(),
    traffic: null,
    provenAt: -Infinity,
    movedAt: -Infinity,
    usedAt: -Infinity,
    canary: {
      order: null,
      seq: 0,
      askedAt: -Infinity,
      open: false,
      why: 'idle',
      busy: false,
      waitingAtAsk: 0,
      slowestMs: 0,
      okAt: new Map(),
      asks: new Map(),
    },
    failure: null,
    pace: { best: new Map(), slow: 0, model: '', ms: 0 },
    blind: null,
    disk: null,
    memory: null,
    oomAt: -Infinity,
    gpu: null,
    shares: new Map(),
    lost: null,
    load: null,
    loadTrouble: null,
    poisoned: null,
    remedy: null,
    remedied: [],
  };
}

/** True for an HTTP answer of success. */
export function succeeded(answer: { readonly status: number } | null): boolean {
  return answer !== null && answer.status >= 200 && answer.status < 300;
}

/** A runner in which a load goes on. */
export function isLoading(s: HealthState): boolean {
  const listed = new Set(s.loaded.map((m) => m.weights));
  return s.runners.some((r) => r.answer === 'loading' || (r.weights !== '' && !listed.has(r.weights) && !r.zombie));
}

/** Display names of loaded models that a runner's weights serve. */
export function nameOfRunner(s: HealthState, r: RunnerSeen): string {
  return s.loaded.find((m) => m.weights !== undefined && m.weights === r.weights)?.name ?? `process ${r.pid}`;
}
