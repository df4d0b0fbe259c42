// Limits of the levels of evidence, with their defaults.

/** Limits of every level. Times in ms. */
export type LevelConfig = {
  /** An answer slower than this is a warning. */
  readonly warnMs: number;
  /** The list of models failing this long is broken; a store that is being changed fails for moments only. */
  readonly listMs: number;
  /** Silences in a row until a runner counts as frozen; thrice as many while it uses CPU time. */
  readonly runner: { readonly failures: number };
  readonly progress: {
    /** Pause between canaries of an idle node. */
    readonly everyMs: number;
    /** Time for one token; ten times the usual one, if that is more. */
    readonly deadlineMs: number;
    /** Silence on an answer that has begun, until a canary is sent to find out. */
    readonly stallMs: number;
    /** A request without a byte is waiting, not hung, for this long. */
    readonly firstTokenMs: number;
    /** Every so many canaries of a vision model carry an image; 0 = none. */
    readonly imageEvery: number;
    /** Tokens that take so many times as long as the quickest are slow. */
    readonly slowFactor: number;
  };
  readonly disk: { readonly warnBytes: number; readonly fullBytes: number };
  readonly memory: { readonly warnBytes: number };
  readonly gpu: {
    readonly failures: number /** Share of the usual part in graphics memory below which the card counts as lost. */;
    readonly share: number;
  };
  readonly crash: {
    readonly count: number;
    readonly windowMs: number /** Without a further death for this long it is believed again. */;
    readonly holdMs: number;
  };
  /** A load that nothing works on for this long is stuck. */
  readonly loadStuckMs: number;
  /** A load that goes on for this long is slow. */
  readonly slowLoadMs: number;
  /** A model whose time is over, and that nobody uses, leaves memory within this time. */
  readonly stuckUnloadMs: number;
  /** A runner that is ready and not listed for this long is a zombie. */
  readonly zombieMs: number;
  /** So many starts of one model's runner within the window of `crash` are a thrash. */
  readonly reloads: number;
};

/** The defaults. */
export const LEVEL_DEFAULTS: LevelConfig = {
  warnMs: 500,
  listMs: 15_000,
  runner: { failures: 3 },
  progress: { everyMs: 30_000, deadlineMs: 5000, stallMs: 2500, firstTokenMs: 300_000, imageEvery: 10, slowFactor: 10 },
  disk: { warnBytes: 5_368_709_120, fullBytes: 104_857_600 },
  memory: { warnBytes: 268_435_456 },
  gpu: { failures: 2, share: 0.5 },
  crash: { count: 3, windowMs: 300_000, holdMs: 60_000 },
  loadStuckMs: 20_000,
  slowLoadMs: 30_000,
  stuckUnloadMs: 30_000,
  zombieMs: 30_000,
  reloads: 6,
};
