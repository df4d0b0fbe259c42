// What alerts remember over a restart: which were sent, and up to which epoch failovers were reported.
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import type { SavedAlert } from '../../core/alerts/machine.ts';

/** The file's content. */
export type AlertMemory = { readonly reportedEpoch: number; readonly alerts: readonly SavedAlert[] };

const BYTES_MAX = 1_048_576;

/** Null: there is no such file yet, or it is damaged (which is told to `problem`). */
export function readAlertMemory(path: string, problem: (text: string) => void): AlertMemory | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') problem(`${path}: ${(error as Error).message}`);
    return null;
  }
  const memory = text.length > BYTES_MAX ? null : parsed(text);
  if (memory === null) problem(`${path} is damaged and not read; alerts that hold are sent again`);
  return memory;
}

/** Written before it returns; an error is told to `problem`. */
export function writeAlertMemory(path: string, memory: AlertMemory, problem: (text: string) => void): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
    // A killed process loses nothing without the wait for the disk, and the loop cannot wait.
    writeFileAtomic.sync(path, JSON.stringify(memory), { mode: 0o640, fsync: false });
  } catch (error) {
    problem(`${path}: ${(error as Error).message}`);
  }
}

function parsed(text: string): AlertMemory | null {
  try {
    const { reportedEpoch, alerts } = JSON.parse(text) as { reportedEpoch?: unknown; alerts?: unknown };
    if (typeof reportedEpoch !== 'number' || !Array.isArray(alerts) || !alerts.every(isSaved)) return null;
    return { reportedEpoch, alerts };
  } catch {
    return null;
  }
}

function isSaved(value: unknown): value is SavedAlert {
  if (typeof value !== 'object' || value === null) return false;
  const { name, subject, args, sinceMs, sentMs } = value as Record<string, unknown>;
  const texts = typeof name === 'string' && typeof subject === 'string';
  return texts && typeof args === 'object' && args !== null && typeof sinceMs === 'number' && typeof sentMs === 'number';
}
