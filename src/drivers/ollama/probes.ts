// Probes of the local Ollama: the held connection, and each `probeMs` one question of each kind.
import type { OllamaPort, Sink } from '../../agent/ports.ts';
import type { Evidence } from '../../core/health/types.ts';
import { type Asked, createOllamaClient } from './client.ts';
import { type HeldFact, holdConnection } from './held.ts';
import type { OwnPorts } from './own-ports.ts';
import { repeat } from './repeat.ts';
import { type WatchOptions, watchBehind } from './watch.ts';

/** What probing needs to know. Times in ms. */
export type ProbeOptions = {
  /** http://HOST:PORT of the local Ollama. */
  readonly url: string;
  readonly probeMs: number;
  readonly timeoutMs: number;
  /** Pause between two looks at the list of models, while it can be read. Default: `probeMs`. */
  readonly listMs?: number;
  readonly own?: OwnPorts;
  /** What is looked at behind HTTP; absent = nothing. */
  readonly behind?: WatchOptions;
  readonly sink: Sink;
};

/** Probes until closed. Throws only for a malformed `url`; the world's errors are evidence. */
export function startOllamaProbes(options: ProbeOptions): OllamaPort {
  const { probeMs, timeoutMs, sink } = options;
  const url = new URL(options.url);
  const client = createOllamaClient(url.origin, { timeoutMs, ...(options.own === undefined ? {} : { own: options.own }) });
  const stop = new AbortController();
  let refusedAt = -Infinity;

  function tell(evidence: Evidence): void {
    if (!stop.signal.aborted) sink({ k: 'evidence', evidence });
  }

  // A closed port is tried ten times a second; repeating that it is closed once per probe is enough.
  function refused(ms: number): void {
    const now = performance.now();
    if (now - refusedAt < probeMs) return;
    refusedAt = now;
    tell({ k: 'connect', result: 'refused', ms });
  }

  function held(fact: HeldFact): void {
    if (fact.k === 'connect' && fact.result === 'refused') {
      refused(0);
      return;
    }
    if (fact.k === 'down') refusedAt = -Infinity;
    tell(fact.k === 'connect' ? fact : { k: 'conn', up: fact.k === 'up' });
  }

  const connection = holdConnection({
    to: endpointOf(url),
    timeoutMs,
    tell: held,
    ...(options.own === undefined ? {} : { own: options.own }),
  });
  const behind =
    options.behind === undefined
      ? null
      : watchBehind(options.behind, { port: endpointOf(url).port, own: options.own ?? new Set(), timeoutMs, tell });
  const questions = [
    repeat(probeMs, async () =>
      answered(await client.version(stop.signal), (a) => tell({ k: 'http', ...seen(a), version: a.value ?? '' })),
    ),
    repeat(probeMs, async () => {
      const asked = await client.tags(stop.signal);
      answered(asked, (a) =>
        tell({ k: 'tags', ...usable(a), names: a.value?.names ?? [], ...(a.value === null ? {} : { abilities: a.value.abilities }) }),
      );
      return asked.k === 'answer' && asked.value !== null ? (options.listMs ?? probeMs) : probeMs;
    }),
    repeat(probeMs, async () =>
      answered(await client.ps(stop.signal), (a) => {
        const loaded = a.value ?? [];
        behind?.loaded(loaded);
        tell({ k: 'ps', ...usable(a), loaded });
      }),
    ),
  ];

  function answered<T>(asked: Asked<T>, report: (answer: Answer<T>) => void): undefined {
    if (asked.k === 'refused') refused(asked.ms);
    else report(asked.k === 'answer' ? asked : { status: 0, ms: asked.ms, value: null });
  }

  return {
    async close(): Promise<void> {
      stop.abort();
      for (const question of questions) question.stop();
      behind?.stop();
      connection.close();
      await client.close();
    },
  };
}

type Answer<T> = { readonly status: number; readonly ms: number; readonly value: T | null };

function seen(answer: Answer<unknown>): { status: number; ms: number } {
  return { status: answer.status, ms: answer.ms };
}

/** A 2xx whose body makes no sense is no usable answer: status 0. */
function usable(answer: Answer<unknown>): { status: number; ms: number } {
  const nonsense = answer.status >= 200 && answer.status < 300 && answer.value === null;
  return { status: nonsense ? 0 : answer.status, ms: answer.ms };
}

function endpointOf(url: URL): { host: string; port: number } {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { host, port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port) };
}
