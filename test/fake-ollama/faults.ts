// Faults that can be switched while the server runs. All off by default.

/** Every knob. Times in ms. */
export type Faults = {
  /** Requests are accepted and never answered: `all`, or only generate and chat. */
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
  /** Streams fall silent for ever. */
  readonly stallAfterTokens: number | null;
  /** The socket is destroyed inside the stream. */
  readonly cutAfterTokens: number | null;
  /** Streams end well-formed, with neither `done` nor an error. */
  readonly silentEndAfterTokens: number | null;
  /** How many requests the four above apply to; null = all. */
  readonly times: number | null;
  /** Requests whose path begins with `path` get this answer. */
  readonly httpError: { readonly path: string; readonly status: number; readonly error: string } | null;
  /** /api/ps answers this late. */
  readonly psBlockMs: number;
  /** /api/tags answers this late. */
  readonly tagsBlockMs: number;
  /** A pull fails for want of space after so many bytes of a blob. */
  readonly pullEnospcAfterBytes: number | null;
  /** Loaded models do not leave when they should. */
  readonly stuckUnload: boolean;
  /** size_vram as a share of size, 0 to 1. */
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
  cutAfterTokens: null,
  silentEndAfterTokens: null,
  times: null,
  httpError: null,
  psBlockMs: 0,
  tagsBlockMs: 0,
  pullEnospcAfterBytes: null,
  stuckUnload: false,
  vramRatio: 1,
  segmentation: 'lines',
};

/** Checks what a control request asks for; a text says what is wrong. */
export function faultsOf(value: unknown): Partial<Faults> | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'the body must be a JSON object of faults';
  const unknown = Object.keys(value).filter((key) => !(key in NO_FAULTS));
  if (unknown.length > 0) return `unknown fault: ${unknown.join(', ')}; known: ${Object.keys(NO_FAULTS).join(', ')}`;
  return value;
}
