// The hot set's vocabulary: which models a node keeps in memory, and the one load it may be told to make.

/** A loaded model as nodes tell each other. */
export type HotModel = {
  readonly name: string;
  /** The first 16 digits of the digest of its weights: two names of one blob are one model. */
  readonly weights: string;
  /** Null = not told. */
  readonly contextLength: number | null;
  /** Memory it takes, bytes. */
  readonly sizeBytes: number;
  /** It stays until it is unloaded. */
  readonly forever: boolean;
};

/** What to keep loaded. `mirror`: what the active has; `list`: the models named here; `off`: nothing. Times in ms. */
export type HotSetConfig = {
  readonly mode: 'mirror' | 'list' | 'off';
  readonly models: readonly string[];
  /** Patience for one load. */
  readonly loadMs: number;
  /** Pause after a load that failed, doubled with each further one. */
  readonly retryMs: number;
};

/** Load this model. A new `seq` is a new order. `numCtx` null = the node's own default; `keepAliveS` null = for ever. */
export type LoadOrder = {
  readonly seq: number;
  readonly model: string;
  readonly weights: string;
  readonly numCtx: number | null;
  readonly keepAliveS: number | null;
  readonly patienceMs: number;
};

/** What of the set is in memory, and why the rest is not. */
export type HotReport = {
  readonly hot: number;
  readonly wanted: number;
  readonly missing: readonly { readonly name: string; readonly why: string }[];
};

/** One model that this node may load: complete in its store. */
export type Loadable = { readonly name: string; readonly weights: string; readonly sizeBytes: number };

/** What a step looks at. */
export type HotFacts = {
  readonly acting: boolean;
  /** Ollama serves, and /api/ps was read a moment ago. */
  readonly ready: boolean;
  /** What the active has loaded; null = not told. */
  readonly active: readonly HotModel[] | null;
  readonly own: readonly HotModel[];
  /** Models that left memory at once and unbidden, and when (monotonic ms); null = none did. */
  readonly lost: { readonly names: readonly string[]; readonly at: number } | null;
  readonly store: readonly Loadable[];
  /** Free memory for models; null = not known. */
  readonly freeBytes: number | null;
  /** Users talk to this node. */
  readonly used: boolean;
};
