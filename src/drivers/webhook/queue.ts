// Messages that wait to be sent, one small file each: what is in the directory outlives the process. Bounded in number and age.
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Notice } from '../../core/alerts/types.ts';

/** A message for one channel. */
export type Queued = { readonly id: string; readonly channel: string; readonly notice: Notice };

/** The queue. Nothing here throws; what the disk refuses is told to `problem`, and kept in memory. */
export type WebhookQueue = {
  /** On disk when it returns. Returns the messages that had to give way. */
  add(channel: string, notice: Notice): readonly Queued[];
  remove(id: string): void;
  /** Oldest first. */
  of(channel: string): readonly Queued[];
  all(): readonly Queued[];
};

const QUEUE_MAX = 1000;
const FILE_BYTES_MAX = 65_536;

/** Opens the directory and takes in what an earlier process left; files that are none of ours stay, and are not read. */
export function openQueue(dir: string, problem: (text: string) => void): WebhookQueue {
  mkdirSync(dir, { recursive: true, mode: 0o750 });
  const waiting = new Map<string, Queued>();
  let next = 0;
  const names = readdirSync(dir).sort();
  for (const name of names.filter((one) => one.startsWith('.new-'))) discard(name);
  for (const name of names.filter((one) => /^\d{10}-[a-z0-9-]+\.json$/.test(one))) {
    next = Math.max(next, Number(name.slice(0, 10)) + 1);
    const queued = readQueued(name);
    if (queued !== null && waiting.size < QUEUE_MAX) waiting.set(queued.id, queued);
    else discard(name);
  }

  function readQueued(name: string): Queued | null {
    try {
      const text = readFileSync(join(dir, name), 'utf8');
      if (text.length > FILE_BYTES_MAX) return null;
      const { channel, notice } = JSON.parse(text) as { channel?: unknown; notice?: unknown };
      return typeof channel === 'string' && isNotice(notice) ? { id: name, channel, notice } : null;
    } catch {
      return null;
    }
  }

  function discard(name: string): void {
    try {
      unlinkSync(join(dir, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') problem(`${join(dir, name)}: ${(error as Error).message}`);
    }
  }

  function write(id: string, text: string): void {
    const temporary = join(dir, `.new-${id}`);
    const file = openSync(temporary, 'w', 0o640);
    try {
      writeSync(file, text);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, join(dir, id));
    // A killed process loses nothing from here on. For a power cut the disk is asked too, but the loop does not wait for it.
    void open(dir, 'r').then(
      async (handle) => {
        await handle.sync().catch(() => undefined);
        await handle.close();
      },
      () => undefined,
    );
  }

  return {
    add(channel, notice) {
      const gone: Queued[] = [];
      while (waiting.size >= QUEUE_MAX) {
        const [oldest] = waiting.values();
        if (oldest === undefined) break;
        waiting.delete(oldest.id);
        discard(oldest.id);
        gone.push(oldest);
      }
      const id = `${String(next++).padStart(10, '0')}-${channel}.json`;
      waiting.set(id, { id, channel, notice });
      try {
        write(id, JSON.stringify({ channel, notice }));
      } catch (error) {
        problem(`${join(dir, id)}: ${(error as Error).message}; the message is kept in memory only`);
      }
      return gone;
    },
    remove(id) {
      if (waiting.delete(id)) discard(id);
    },
    of: (channel) => [...waiting.values()].filter((one) => one.channel === channel),
    all: () => [...waiting.values()],
  };
}

// Written by this program, in a directory of its own; a damaged file must not end it.
function isNotice(value: unknown): value is Notice {
  if (typeof value !== 'object' || value === null) return false;
  const { k, key, cluster, node, atMs, entry, args } = value as Record<string, unknown>;
  const common = [key, cluster, node].every((text) => typeof text === 'string') && typeof atMs === 'number';
  if (!common) return false;
  if (k === 'report') return typeof entry === 'object' && entry !== null && 'phasesMs' in entry;
  return k === 'test' || (k === 'alert' && typeof args === 'object' && args !== null);
}
