// Faults that can be switched while the server runs. All off by default. The table in README.md says what each one looks like from outside.

/** Every knob. Times in ms. */
export type Faults = {
  /** Requests are accepted and never answered: `all` (a frozen server), or only generate, chat and embed (`/`, version, tags and ps go on). */
  readonly hang: 'none' | 'inference' | 'all';
  /** The port is closed and every connection dropped; open again when cleared. */
  readonly refuse: boolean;
  /** Connections are accepted and reset at once. */
  readonly reset: boolean;
  /** Pause between tokens; null = as started. */
  readonly tokenMs: number | null;
  /** Pause before the first token; null = as started. */
  readonly firstTokenMs: number | null;
  /** Duration of a load; null = as started. */
  readonly loadMs: number | null;
  /** Streams end with an error line after so many tokens; 0 = a 500 before the first. null = off, here and below. */
  readonly failAfterTokens: number | null;
  /** Streams fall silent for ever; the runner's own health stays good. */
  readonly stallAfterTokens: number | null;
  /** The runner itself falls silent after so many tokens, while its health stays good: a hang of the device; 0 = before the first. */
  readonly runnerStallAfterTokens: number | null;
  /** The socket is destroyed inside the stream. */
  readonly cutAfterTokens: number | null;
  /** Streams end well-formed, with neither `done` nor an error. */
  readonly silentEndAfterTokens: number | null;
  /** The runner dies for real (kill -9) after so many tokens; without `times` a crash loop. */
  readonly crashAfterTokens: number | null;
  /** The device runs out of memory after so many tokens: the request fails, and every loaded model goes, keep_alive -1 too. */
  readonly oomAfterTokens: number | null;
  /** The runner ends while it loads, with this text. A text about memory first costs all other models their place, then one more try. */
  readonly loadError: string | null;
  /** A load is refused before a runner starts, with this status and text: damaged files, or a model that this version does not know. */
  readonly loadRefusal: { readonly status: number; readonly error: string } | null;
  /** A load that is not ready by then is given up; null = as started. */
  readonly loadTimeoutMs: number | null;
  /** How many requests (or loads, for loadError) the ones above apply to; null = all. */
  readonly times: number | null;
  /** Requests whose path begins with `path` get this answer. */
  readonly httpError: { readonly path: string; readonly status: number; readonly error: string } | null;
  /** /api/ps answers this late. */
  readonly psBlockMs: number;
  /** /api/tags answers this late. */
  readonly tagsBlockMs: number;
  /** So many listings of the store fail, as when a manifest vanishes between two looks: tags 500, generate 404, chat 400. */
  readonly listingErrors: number;
  /** A pull fails for want of space after so many bytes of a blob. */
  readonly pullEnospcAfterBytes: number | null;
  /** Loaded models do not leave when they should. */
  readonly stuckUnload: boolean;
  /** A model that leaves the list leaves its process behind, memory and all; cleared, the process ends. */
  readonly zombies: boolean;
  /** Requests with an image end with a 500; text goes on. */
  readonly brokenVision: boolean;
  /** What /api/version says; null = as started. */
  readonly version: string | null;
  /** Each unload takes this long; /api/ps and loads wait for it. */
  readonly unloadMs: number;
  /** Every load waits until some model is unloaded: the scheduler deadlock. Loaded models, tags and ps go on. */
  readonly wedge: boolean;
  /** Models loaded from now on run on the CPU: size_vram 0, tokens 20 times slower. */
  readonly gpuLost: boolean;
  /** Memory of the device in bytes; null = as started. */
  readonly vramBytes: number | null;
  /** size_vram of all models as a share of what it would be, 0 to 1. */
  readonly vramRatio: number;
  /** Lines of a stream: one per chunk, each cut in two chunks, or two joined in one. */
  readonly segmentation: 'lines' | 'split' | 'join';
};

/** No fault. */
export const NO_FAULTS: Faults = {
  hang: 'none',
  refuse: false,
  reset: false,
  tokenMs: null,
  firstTokenMs: null,
  loadMs: null,
  failAfterTokens: null,
  stallAfterTokens: null,
  runnerStallAfterTokens: null,
  cutAfterTokens: null,
  silentEndAfterTokens: null,
  crashAfterTokens: null,
  oomAfterTokens: null,
  loadError: null,
  loadRefusal: null,
  loadTimeoutMs: null,
  times: null,
  httpError: null,
  psBlockMs: 0,
  tagsBlockMs: 0,
  listingErrors: 0,
  pullEnospcAfterBytes: null,
  stuckUnload: false,
  zombies: false,
  brokenVision: false,
  version: null,
  unloadMs: 0,
  wedge: false,
  gpuLost: false,
  vramBytes: null,
  vramRatio: 1,
  segmentation: 'lines',
};

const TEXTS: ReadonlySet<string> = new Set(['loadError', 'version']);
const WORDS: Readonly<Record<string, readonly string[]>> = {
  hang: ['none', 'inference', 'all'],
  segmentation: ['lines', 'split', 'join'],
};

/** Checks what a control request asks for; a text says what is wrong. */
export function faultsOf(value: unknown): Partial<Faults> | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'the body must be a JSON object of faults';
  const known: Readonly<Record<string, unknown>> = NO_FAULTS;
  const unknown = Object.keys(value).filter((key) => !(key in known));
  if (unknown.length > 0) return `unknown fault: ${unknown.join(', ')}; known: ${Object.keys(known).join(', ')}`;
  const wrong = Object.entries(value).flatMap(([key, given]) => {
    const want = wanted(key, known[key]);
    return fits(key, known[key], given) ? [] : [`${key} must be ${want}`];
  });
  return wrong.length > 0 ? wrong.join('; ') : value;
}

function wanted(key: string, off: unknown): string {
  if (WORDS[key] !== undefined) return `one of ${WORDS[key].join(', ')}`;
  if (key === 'httpError') return 'null or {path, status, error}';
  if (key === 'loadRefusal') return 'null or {status, error}';
  if (TEXTS.has(key)) return 'null or a text';
  if (typeof off === 'boolean') return 'true or false';
  return off === null ? 'null or a number, 0 or more' : 'a number, 0 or more';
}

function fits(key: string, off: unknown, given: unknown): boolean {
  if (given === null) return off === null;
  if (WORDS[key] !== undefined) return WORDS[key].includes(String(given));
  if (TEXTS.has(key)) return typeof given === 'string';
  if (key === 'loadRefusal') {
    const { status, error } = given as { status?: unknown; error?: unknown };
    return typeof status === 'number' && typeof error === 'string';
  }
  if (key === 'httpError') {
    const { path, status, error } = given as { path?: unknown; status?: unknown; error?: unknown };
    return typeof path === 'string' && typeof status === 'number' && typeof error === 'string';
  }
  return typeof off === 'boolean' ? typeof given === 'boolean' : typeof given === 'number' && given >= 0;
}
