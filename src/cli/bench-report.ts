// The figures of a load test, as text with bars.
import type { Seen } from './bench-run.ts';
import { printable } from './format.ts';

/** The figures; times in ms, null where no request was answered. */
export type Figures = {
  readonly requests: number;
  readonly errors: number;
  readonly errorTexts: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly tokensPerSecond: number;
  readonly latencyMs: Quantiles | null;
  readonly firstTokenMs: Quantiles | null;
};

type Quantiles = {
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
};

/** From what was seen. */
export function figuresOf(seen: Seen): Figures {
  const errors = [...seen.errors.values()].reduce((sum, n) => sum + n, 0);
  const seconds = Math.max(seen.wallMs, 1) / 1000;
  return {
    requests: seen.latencyMs.length + errors,
    errors,
    errorTexts: Object.fromEntries(seen.errors),
    seconds: round(seconds),
    requestsPerSecond: round(seen.latencyMs.length / seconds),
    tokensPerSecond: round(seen.tokens / seconds),
    latencyMs: quantilesOf(seen.latencyMs),
    firstTokenMs: quantilesOf(seen.firstMs),
  };
}

/** Nearest rank: a value that was really seen. */
function quantilesOf(values: readonly number[]): Quantiles | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0);
  return { min: at(0), p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), max: at(1) };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** What a person reads. */
export function reportText(figures: Figures, latencyMs: readonly number[], columns: number): string {
  const { requests, errors, seconds, requestsPerSecond, tokensPerSecond } = figures;
  return [
    `${requests} requests in ${seconds} s: ${errors} errors, ${requestsPerSecond} answers/s, ${tokensPerSecond} tokens/s\n`,
    quantileLine('whole answer', figures.latencyMs),
    quantileLine('first token', figures.firstTokenMs),
    ...Object.entries(figures.errorTexts).map(([text, n]) => `error ${n} x ${printable(text)}\n`),
    barsText(latencyMs, columns),
  ].join('');
}

function quantileLine(name: string, q: Quantiles | null): string {
  if (q === null) return '';
  return `${name.padEnd(12)}  min ${q.min}  p50 ${q.p50}  p90 ${q.p90}  p95 ${q.p95}  p99 ${q.p99}  max ${q.max} ms\n`;
}

const BARS = 10;

/** Whole answers by their time, in ten equal steps. */
function barsText(values: readonly number[], columns: number): string {
  if (values.length === 0) return '';
  const least = values.reduce((a, b) => Math.min(a, b));
  const most = values.reduce((a, b) => Math.max(a, b));
  const stepMs = Math.max((most - least) / BARS, 0.01);
  const counts = Array.from({ length: BARS }, () => 0);
  for (const value of values) {
    const i = Math.min(BARS - 1, Math.floor((value - least) / stepMs));
    counts[i] = (counts[i] ?? 0) + 1;
  }
  const highest = Math.max(...counts);
  const width = Math.max(10, Math.min(columns, 100) - 28);
  return counts
    .map((n, i) =>
      `${(least + (i + 1) * stepMs).toFixed(1).padStart(12)} ms ${'#'.repeat(Math.ceil((n / highest) * width))} ${n}`.trimEnd(),
    )
    .join('\n')
    .concat('\n');
}
