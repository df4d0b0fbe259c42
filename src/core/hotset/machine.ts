// The hot set: a standby keeps in memory what the active has there, so that the first token after a failover needs no load.
//
// - One load at a time, with patience; what failed waits longer each time. It is warm when /api/ps lists it, by the digest of its weights and
//   with the context of the active: not before.
// - The first try names no context. A runner that was loaded with an explicit one is loaded anew by a request without; one that was loaded
//   without serves both, as long as the default is the active's. Only where it is not, the second try names it.
// - Nothing is forced: what does not fit is reported, and what users of this node have loaded is neither evicted nor loaded anew. Ollama
//   evicts when a load needs more than 80 % of what is free, so a set beside other models must stay below.
// - What a lack of memory threw away on the active is loaded again, once: nobody else would before the next user asks for it. What is thrown away
//   again soon stays away, since it does not fit.
// - It never unloads. A model that the active lets go is loaded with an end here, and goes by itself.
import type { HotFacts, HotModel, HotReport, HotSetConfig, Loadable, LoadOrder } from './types.ts';

/** Digits of a digest by which models are compared. */
const KEY_LENGTH = 16;
const KEEP_S = 600;
const FREE_SHARE = 0.8;
const RETRY_DOUBLINGS = 6;

/** The key of a digest. */
export function keyOf(weights: string): string {
  return weights.slice(0, KEY_LENGTH);
}

/** How the loads of one model went. `at`: monotonic ms of the last failure; `evicts`: it succeeded, at the cost of others. */
type Trouble = { readonly at: number; readonly count: number; readonly why: string; readonly evicts: boolean };

/** What the hot set remembers. */
export type HotState = {
  readonly seq: number;
  /** The load under way. */
  readonly order: LoadOrder | null;
  /** Loaded before it began: whoever is gone afterwards was evicted by it. */
  readonly before: readonly HotModel[];
  /** Ended and not yet judged by /api/ps; monotonic ms of the end. */
  readonly endedAt: number | null;
  readonly troubles: ReadonlyMap<string, Trouble>;
  /** The context that a load without one got. */
  readonly defaults: ReadonlyMap<string, number>;
  /** What the last active told. */
  readonly wanted: readonly HotModel[];
  /** What was loaded here at the step before. */
  readonly own: readonly HotModel[];
  /** Thrown away here while this node was active; `at`: monotonic ms of that loss. */
  readonly thrown: { readonly models: readonly HotModel[]; readonly at: number };
  readonly report: HotReport;
};

/** Nothing wanted yet. */
export const NO_HOT: HotState = {
  seq: 0,
  order: null,
  before: [],
  endedAt: null,
  troubles: new Map(),
  defaults: new Map(),
  wanted: [],
  own: [],
  thrown: { models: [], at: -Infinity },
  report: { hot: 0, wanted: 0, missing: [] },
};

/** The end of a load. `error` '' = Ollama says that it is loaded. */
export function loadEnded(s: HotState, model: string, error: string, mono: number): HotState {
  if (s.order === null || s.order.model !== model) return s;
  if (error === '') return { ...s, endedAt: mono };
  return { ...s, order: null, endedAt: null, troubles: failed(s, s.order.weights, error, mono) };
}

/** Compares what is wanted with what is there, and orders the next load when none is under way. */
export function stepHot(s: HotState, config: HotSetConfig, facts: HotFacts, mono: number): HotState {
  const thrown = thrownOf(s, facts);
  const wanted = wantedOf({ ...s, thrown }, config, facts);
  // Whoever loaded it: what is in memory can be loaded.
  const troubles = new Map([...s.troubles].filter(([weights, t]) => t.evicts || facts.own.every((m) => m.weights !== weights)));
  const judged = judgeLoad({ ...s, wanted, thrown, troubles, own: facts.own }, facts, mono);
  const cold = wanted.flatMap((want) => {
    const why = coldness(judged, config, want, facts, mono);
    return why === null ? [] : [{ want, ...why }];
  });
  const report: HotReport = {
    hot: wanted.length - cold.length,
    wanted: wanted.length,
    missing: cold.map(({ want, why }) => ({ name: want.name, why })),
  };
  const due = cold.find((c) => c.load !== null);
  if (judged.order !== null || due === undefined || due.load === null || !facts.ready) return { ...judged, report };
  const seq = judged.seq + 1;
  const order: LoadOrder = { ...due.load, seq, patienceMs: config.loadMs };
  return { ...judged, report, seq, order, before: facts.own, endedAt: null };
}

/** A loss that follows another within this time is not undone. */
const AGAIN_MS = 600_000;

function thrownOf(s: HotState, { acting, own, lost }: HotFacts): HotState['thrown'] {
  const { at } = s.thrown;
  if (!acting || lost === null) return { models: [], at };
  if (lost.at <= at) return { models: s.thrown.models.filter((m) => own.every((o) => o.weights !== m.weights)), at };
  const models = lost.at - at < AGAIN_MS ? [] : s.own.filter((m) => lost.names.includes(m.name));
  return { models, at: lost.at };
}

function wantedOf(s: HotState, config: HotSetConfig, facts: HotFacts): readonly HotModel[] {
  if (config.mode === 'off') return [];
  if (config.mode === 'mirror') return facts.acting ? [...facts.own, ...s.thrown.models] : (facts.active ?? s.wanted);
  return config.models.map((name): HotModel => {
    const full = name.lastIndexOf(':') > name.lastIndexOf('/') ? name : `${name}:latest`;
    const here = facts.store.find((m) => m.name === full);
    const there = facts.active?.find((m) => m.name === full);
    return {
      name: full,
      weights: here?.weights ?? '',
      contextLength: there?.contextLength ?? null,
      sizeBytes: here?.sizeBytes ?? 0,
      forever: true,
    };
  });
}

/** A load that ended is judged by the list: the model is there, nobody else went. */
function judgeLoad(s: HotState, facts: HotFacts, mono: number): HotState {
  if (s.order === null || s.endedAt === null || !facts.ready) return s;
  const { weights, numCtx } = s.order;
  const here = facts.own.find((m) => m.weights === weights);
  if (here === undefined) {
    if (mono - s.endedAt < LIST_MS) return s;
    return {
      ...s,
      order: null,
      endedAt: null,
      troubles: failed(s, weights, 'it was loaded and is not listed: no room beside the others', mono),
    };
  }
  const gone = s.before.filter((m) => !facts.own.some((o) => o.weights === m.weights));
  const defaults = numCtx === null && here.contextLength !== null ? new Map(s.defaults).set(weights, here.contextLength) : s.defaults;
  const troubles = new Map(s.troubles);
  troubles.delete(weights);
  if (gone.length > 0)
    troubles.set(weights, {
      at: mono,
      count: RETRY_DOUBLINGS,
      why: `its load evicted ${gone.map((m) => m.name).join(', ')}`,
      evicts: true,
    });
  return { ...s, order: null, endedAt: null, defaults, troubles };
}

/** /api/ps is read once a second. */
const LIST_MS = 5000;

function failed(s: HotState, weights: string, why: string, mono: number): HotState['troubles'] {
  const count = Math.min(RETRY_DOUBLINGS, (s.troubles.get(weights)?.count ?? 0) + 1);
  return new Map(s.troubles).set(weights, { at: mono, count, why, evicts: false });
}

type Cold = { readonly why: string; readonly load: Omit<LoadOrder, 'seq' | 'patienceMs'> | null };

/** Why a model is not warm, and the load that would change it; null = it is warm. */
function coldness(s: HotState, config: HotSetConfig, want: HotModel, facts: HotFacts, mono: number): Cold | null {
  const here = facts.own.find((m) => m.weights === want.weights && want.weights !== '');
  const fits =
    here !== undefined && (want.contextLength === null || here.contextLength === null || here.contextLength === want.contextLength);
  if (fits) return null;
  if (s.order?.weights === want.weights) return { why: 'it is being loaded', load: null };
  const source =
    facts.store.find((m) => m.weights === want.weights && m.name === want.name) ?? facts.store.find((m) => m.weights === want.weights);
  if (source === undefined || want.weights === '') return { why: 'it is not complete in the store here', load: null };
  const trouble = s.troubles.get(want.weights);
  if (trouble !== undefined && mono - trouble.at < pauseMs(config, trouble)) return { why: trouble.why, load: null };
  if (here !== undefined && facts.used)
    return {
      why: `it is loaded with context ${here.contextLength} instead of ${want.contextLength}, and users of this node use it`,
      load: null,
    };
  const room = here === undefined ? roomFor(want, source, facts) : null;
  if (room !== null) return { why: room, load: null };
  return {
    why: here === undefined ? 'it is not loaded yet' : `context ${here.contextLength} instead of ${want.contextLength}`,
    load: loadOf(s, want, source, here),
  };
}

function loadOf(s: HotState, want: HotModel, source: Loadable, here: HotModel | undefined): NonNullable<Cold['load']> {
  const usual = s.defaults.get(want.weights);
  const other = here !== undefined || (usual !== undefined && usual !== want.contextLength);
  return {
    model: source.name,
    weights: want.weights,
    numCtx: other ? want.contextLength : null,
    keepAliveS: want.forever ? null : KEEP_S,
  };
}

function roomFor(want: HotModel, source: Loadable, facts: HotFacts): string | null {
  if (facts.freeBytes === null) return null;
  const need = Math.max(want.sizeBytes, source.sizeBytes);
  const room = facts.own.length === 0 ? facts.freeBytes : facts.freeBytes * FREE_SHARE;
  return need <= room ? null : `it does not fit: it needs ${gigabytes(need)}, and ${gigabytes(facts.freeBytes)} are free`;
}

function pauseMs(config: HotSetConfig, trouble: Trouble): number {
  return config.retryMs * 2 ** (trouble.count - 1);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
