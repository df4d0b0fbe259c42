// Numbers and answers in words, as operators read them.
import { succeeded } from './state.ts';

/** An answer in words. */
export function outcome(answer: { readonly status: number; readonly ms: number } | null): string {
  if (answer === null || answer.status === 0) return 'gives no usable answer';
  return succeeded(answer) ? `took ${Math.round(answer.ms)} ms` : `answers ${answer.status}`;
}

/** Three names at most. */
export function some(names: readonly string[]): string {
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}

/** Seconds with one digit. */
export function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

/** A size in the largest fitting unit. */
export function bytes(n: number): string {
  return n >= 1e9 ? `${(n / 1e9).toFixed(1)} GB` : `${Math.round(n / 1e6)} MB`;
}

/** A share of 1 in per cent. */
export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
