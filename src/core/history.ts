// One line of history as outside data: a file that a crash cut, or a field in Redis that anything may have written.
import type { HistoryEntry } from './io.ts';

/** Longest text of a line. */
export const ENTRY_TEXT_MAX = 4096;
const WORD_MAX = 64;
const REASON_MAX = 512;
const PHASES_MAX = 24;

/** A line from its text, or null when it is none. */
export function readEntry(text: string): HistoryEntry | null {
  if (text.length > ENTRY_TEXT_MAX) return null;
  try {
    return checkEntry(JSON.parse(text));
  } catch {
    return null;
  }
}

/** Whether two lines tell of the same event. */
export function isSameEvent(a: HistoryEntry, b: HistoryEntry): boolean {
  return a.epoch === b.epoch && (a.cause === 'missed') === (b.cause === 'missed') && (a.cause !== 'missed' || a.reason === b.reason);
}

function checkEntry(raw: unknown): HistoryEntry | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const { epoch, from, to, cause, reason, by, atMs, phasesMs } = raw as Partial<Record<keyof HistoryEntry, unknown>>;
  if (!isCount(epoch) || !isCount(atMs) || !isText(reason, REASON_MAX)) return null;
  if (!isText(from, WORD_MAX) || !isText(to, WORD_MAX) || !isText(cause, WORD_MAX) || !isText(by, WORD_MAX)) return null;
  const phases = checkPhases(phasesMs);
  return phases === null ? null : { epoch, from, to, cause, reason, by, atMs, phasesMs: phases };
}

function checkPhases(raw: unknown): Readonly<Record<string, number>> | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const phases = Object.entries(raw);
  const sound =
    phases.length <= PHASES_MAX && phases.every(([name, ms]) => name.length <= WORD_MAX && typeof ms === 'number' && Number.isFinite(ms));
  return sound ? (raw as Record<string, number>) : null;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isText(value: unknown, max: number): value is string {
  return typeof value === 'string' && value.length <= max && !/\p{Cc}/u.test(value);
}
