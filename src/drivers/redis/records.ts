// Settings and history in Redis, beside the lease: two hashes, written and read by HSET and HMGET only, as the ACL allows.
//
// `{ha:CLUSTER}:settings` holds the record in one field; every (re)connect compares it with what this node holds: a newer one is handed in, an
// older or missing one (an empty server) is put back. `{ha:CLUSTER}:history` is a ring of 256 fields, the epoch modulo 256; it is read once.
// Nothing here is waited for and nothing decides by it: gossip and the state files carry the same, so a failed call is a line in the log.
import type { RecordsPort } from '../../agent/ports.ts';
import { ENTRY_TEXT_MAX, readEntry } from '../../core/history.ts';
import type { HistoryEntry } from '../../core/io.ts';
import { compare, readSettings, textOf } from '../../core/settings/record.ts';
import type { Settings } from '../../core/settings/types.ts';
import type { Connection, RedisLog } from './connection.ts';
import { describeFailure } from './failure.ts';

/** What the records are kept with. */
export type RecordsOptions = {
  readonly connections: readonly Connection[];
  readonly cluster: string;
  /** The record this node starts with. */
  readonly settings: Settings;
  /** A newer record was found. */
  readonly onSettings: (settings: Settings) => void;
  /** Lines of history were found, oldest first. */
  readonly onHistory: (entries: readonly HistoryEntry[]) => void;
  readonly log: RedisLog;
};

const RING = 256;
const RING_FIELDS = Array.from({ length: RING }, (_, i) => String(i));
const FIELD = 'record';

/** Keeps both hashes on every server that is reached, now and after each reconnect. */
export function keepRecords(options: RecordsOptions): RecordsPort {
  const { connections, cluster, log } = options;
  const settingsKey = `{ha:${cluster}}:settings`;
  const historyKey = `{ha:${cluster}}:history`;
  const read = new Set<Connection>();
  let held = options.settings;

  async function attempt(connection: Connection, what: string, act: () => Promise<unknown>): Promise<void> {
    if (connection.redis.status !== 'ready') return;
    try {
      await act();
    } catch (error) {
      const text = `redis ${connection.name}: ${what}: ${describeFailure(error, connection.secret)}`;
      log('warn', 'redis.records', text, { server: connection.name });
    }
  }

  const put = (connection: Connection) =>
    attempt(connection, 'settings not written', () => connection.redis.hset(settingsKey, FIELD, textOf(held)));

  const level = (connection: Connection) =>
    attempt(connection, 'settings not read', async () => {
      const [text] = await connection.redis.hmget(settingsKey, FIELD);
      const stored = typeof text === 'string' ? readSettings(text) : null;
      const order = stored === null ? -1 : compare(stored, held);
      if (stored !== null && order > 0) options.onSettings(stored);
      else if (order < 0 && held.version > 0) await put(connection);
    });

  const readRing = (connection: Connection) =>
    attempt(connection, 'history not read', async () => {
      if (read.has(connection)) return;
      const texts = await connection.redis.hmget(historyKey, ...RING_FIELDS);
      read.add(connection);
      const entries = texts.flatMap((text) => (typeof text === 'string' ? [readEntry(text)] : [])).filter((entry) => entry !== null);
      if (entries.length > 0) options.onHistory(entries.sort((a, b) => a.epoch - b.epoch));
    });

  for (const connection of connections) {
    const connected = () => void level(connection).then(() => readRing(connection));
    connection.redis.on('ready', connected);
    if (connection.redis.status === 'ready') connected();
  }

  return {
    settings(settings, publish) {
      held = settings;
      if (publish) for (const connection of connections) void put(connection);
    },
    history(entry) {
      const text = JSON.stringify(entry);
      if (text.length > ENTRY_TEXT_MAX) return;
      const field = String(entry.epoch % RING);
      for (const connection of connections)
        void attempt(connection, 'history not written', () => connection.redis.hset(historyKey, field, text));
    },
  };
}
