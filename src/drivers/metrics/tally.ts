// What is counted between two scrapes, in plain numbers: the metrics library is loaded by the first scrape, most agents never see one.
import type { Evidence } from '../../core/health/types.ts';
import type { HistoryEntry } from '../../core/io.ts';

/** Answers of the local Ollama by outcome. `error`: a status of 400 or more; `timeout`: none within the deadline. */
export type ProbeResult = 'ok' | 'error' | 'timeout' | 'refused';

/** Counters since the start, and what waits to be put into a histogram. */
export type Tally = {
  /** A fact on its way to the core. */
  evidence(evidence: Evidence): void;
  /** A line of history written now. */
  history(entry: HistoryEntry): void;
  readonly probes: Readonly<Record<ProbeResult, number>>;
  readonly canaries: Readonly<Record<string, number>>;
  /** Of the newest probes, ms; null before the first answer. */
  percentile(share: number): number | null;
  readonly latest: {
    readonly responseMs: number | null;
    readonly canaryMs: number | null;
    readonly users: number | null;
    readonly waiting: number | null;
    readonly answerBytes: number;
    readonly tokens: number;
    readonly gpu: { readonly usedBytes: number; readonly totalBytes: number } | null;
    readonly loaded: readonly { readonly name: string; readonly sizeBytes: number; readonly vramBytes: number }[];
  };
  /** Moves since this was last asked, oldest first. */
  takeMoves(): readonly { readonly cause: string; readonly totalMs: number | null }[];
};

const SAMPLES = 64;
// Without a scrape the list must end somewhere; a counter that starts late is no loss.
const MOVES_MAX = 256;

/** An empty tally. */
export function createTally(): Tally {
  const probes: Record<ProbeResult, number> = { ok: 0, error: 0, timeout: 0, refused: 0 };
  const canaries: Record<string, number> = { ok: 0, silent: 0, error: 0 };
  const samples = new Float64Array(SAMPLES);
  let taken = 0;
  let moves: { cause: string; totalMs: number | null }[] = [];
  let latest: Tally['latest'] = {
    responseMs: null,
    canaryMs: null,
    users: null,
    waiting: null,
    answerBytes: 0,
    tokens: 0,
    gpu: null,
    loaded: [],
  };

  function probe(status: number, ms: number): void {
    probes[status === 0 ? 'timeout' : status >= 400 ? 'error' : 'ok'] += 1;
    samples[taken % SAMPLES] = ms;
    taken += 1;
    latest = { ...latest, responseMs: ms };
  }

  return {
    evidence(e) {
      switch (e.k) {
        case 'http':
          return probe(e.status, e.ms);
        case 'tags':
          return probe(e.status, e.ms);
        case 'ps':
          latest = { ...latest, loaded: e.loaded };
          return probe(e.status, e.ms);
        case 'connect':
          if (e.result === 'refused') {
            probes.refused += 1;
            latest = { ...latest, loaded: [] };
          }
          return;
        case 'canary':
          canaries[e.result] = (canaries[e.result] ?? 0) + 1;
          latest = { ...latest, canaryMs: e.result === 'ok' ? e.ms : latest.canaryMs };
          return;
        case 'traffic':
          latest = {
            ...latest,
            users: e.users,
            waiting: e.waiting,
            answerBytes: latest.answerBytes + Math.max(0, e.movedBytes),
            tokens: latest.tokens + Math.max(0, e.tokens ?? 0),
          };
          return;
        case 'gpu':
          latest = { ...latest, gpu: e.error === '' && e.totalBytes > 0 ? { usedBytes: e.usedBytes, totalBytes: e.totalBytes } : null };
          return;
        default:
          return;
      }
    },
    history(entry) {
      if (moves.length >= MOVES_MAX) moves = moves.slice(1);
      moves.push({ cause: entry.cause, totalMs: entry.phasesMs.totalMs ?? null });
    },
    probes,
    canaries,
    percentile(share) {
      if (taken === 0) return null;
      const sorted = samples.slice(0, Math.min(taken, SAMPLES)).sort();
      return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
    },
    get latest() {
      return latest;
    },
    takeMoves() {
      const all = moves;
      moves = [];
      return all;
    },
  };
}
