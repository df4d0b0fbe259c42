// The load of agentctl bench: threads that ask one endpoint, each one request after the other, and what they saw.
import { readCapped } from './bench-read.ts';

/** What to ask, of whom. `requests` is per thread. */
export type Load = {
  readonly url: string;
  readonly model: string;
  readonly prompt: string;
  readonly tokens: number;
  /** Base64 of an image, or null. */
  readonly image: string | null;
  readonly threads: number;
  readonly requests: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};

/** What came of it. Times in ms, of whole answers only; `errors` by text. */
export type Seen = {
  readonly latencyMs: readonly number[];
  readonly firstMs: readonly number[];
  readonly errors: ReadonlyMap<string, number>;
  readonly tokens: number;
  readonly wallMs: number;
  /** One for each request, in the order of their ends. */
  readonly samples: readonly Sample[];
};

/** When it was sent, ms after the start, and how long the whole answer took; null = an error. */
export type Sample = { readonly atMs: number; readonly ms: number | null };

const ERROR_KINDS_MAX = 20;

/** Runs the load to its end, or until the signal. Never rejects for what a server does. */
export async function runLoad(load: Load): Promise<Seen> {
  const latencyMs: number[] = [];
  const firstMs: number[] = [];
  const samples: Sample[] = [];
  const errors = new Map<string, number>();
  let tokens = 0;
  const body = JSON.stringify({
    model: load.model,
    prompt: load.prompt,
    stream: true,
    options: { num_predict: load.tokens },
    ...(load.image === null ? {} : { images: [load.image] }),
  });
  const start = performance.now();
  const one = async (): Promise<void> => {
    const at = performance.now();
    try {
      const signal = AbortSignal.any([load.signal, AbortSignal.timeout(load.timeoutMs)]);
      const reply = await fetch(new URL('/api/generate', load.url), { method: 'POST', body, signal, redirect: 'error' });
      const answer = await readCapped(reply, at);
      const ms = performance.now() - at;
      latencyMs.push(ms);
      samples.push({ atMs: at - start, ms });
      firstMs.push(answer.firstMs);
      tokens += answer.tokens;
    } catch (error) {
      if (load.signal.aborted) return;
      samples.push({ atMs: at - start, ms: null });
      const text = errorText(error);
      const known = errors.has(text) || errors.size < ERROR_KINDS_MAX ? text : 'others';
      errors.set(known, (errors.get(known) ?? 0) + 1);
    }
  };
  const thread = async (): Promise<void> => {
    for (let i = 0; i < load.requests && !load.signal.aborted; i++) await one();
  };
  await Promise.all(Array.from({ length: load.threads }, thread));
  return { latencyMs, firstMs, errors, tokens, samples, wallMs: performance.now() - start };
}

function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'no whole answer in time';
  const cause = error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message;
  return cause.slice(0, 120);
}
