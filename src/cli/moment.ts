// Durations and moments as operators write them.
import { InvalidArgumentError } from 'commander';

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `30s`, `5m`, `1h30m`, `90` (seconds). Throws InvalidArgumentError. */
export function durationMs(text: string): number {
  const parts = [...text.matchAll(/(\d+)(ms|s|m|h|d)/gy)];
  const whole = parts.map((part) => part[0]).join('') === text;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : parts.reduce((sum, [, n, unit = '']) => sum + Number(n) * (unitMs[unit] ?? 0), 0);
  if (text === '' || (!whole && !/^\d+$/.test(text)) || !Number.isSafeInteger(ms))
    throw new InvalidArgumentError('It must be a time such as 30s, 5m or 1h30m.');
  return ms;
}

/** Wall-clock ms of an ISO time or of `+10m` from `nowMs`. Throws InvalidArgumentError. */
export function momentMs(text: string, nowMs: number): number {
  if (text.startsWith('+')) return nowMs + durationMs(text.slice(1));
  // A day without a time, or a form that only this engine reads, would be a guess.
  const iso = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?$/.test(text);
  const ms = iso ? Date.parse(text.replace(' ', 'T')) : Number.NaN;
  if (Number.isNaN(ms))
    throw new InvalidArgumentError('It must be a time such as +10m or 2026-12-01T22:00 (local, or with Z or an offset).');
  return ms;
}
