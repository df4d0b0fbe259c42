// The settings record as a value: changing it, joining two copies, and reading one that came from outside.
//
// Copies join in a semilattice: the higher version wins, and of two different records under one version the one with the larger hash, so
// every node keeps the same one whatever the order. Heartbeats carry version and hash only; whoever sees that it holds the newer record
// sends it. Two operators who change something in the same moment at two nodes make two records under one version; the node whose change
// lost makes it again on top of the winner (core/steer.ts), so neither is lost.
import type { NodeId } from '../types.ts';
import type { Maintenance, Schedule, Settings, SettingsChange } from './types.ts';

/** Longest name of an operator. */
export const BY_MAX = 40;
/** Nodes in maintenance at once: with this many the record still fits into one message of the wire. */
export const MAINTENANCE_MAX = 64;
const TEXT_MAX = 65_536;
// A version counts operators' changes: more than this was never counted up, and would leave no room above it.
const VERSION_MAX = 2 ** 48;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** The record with one change made, under the next version. */
export function changed(s: Settings, change: SettingsChange): Settings {
  const version = s.version + 1;
  switch (change.k) {
    case 'pause':
      return { ...s, version, paused: change.paused, pausedBy: change.paused ? change.by.slice(0, BY_MAX) : '' };
    case 'maintenance': {
      const { node, by, drainUntilMs } = change;
      const others = s.maintenance.filter((m) => m.node !== node);
      const entry: Maintenance = { node, by: by.slice(0, BY_MAX), drainUntilMs };
      return { ...s, version, maintenance: sorted(change.on ? [...others, entry] : others) };
    }
    case 'schedule':
      return { ...s, version, schedule: { id: version, to: change.to, atMs: change.atMs, by: change.by.slice(0, BY_MAX) } };
    case 'unschedule':
      return { ...s, version, schedule: null };
    case 'drop':
      return {
        ...s,
        version,
        maintenance: s.maintenance.filter((m) => m.node !== change.node),
        schedule: s.schedule?.to === change.node ? null : s.schedule,
      };
  }
}

function sorted(entries: readonly Maintenance[]): readonly Maintenance[] {
  return [...entries].sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** The newer of two copies. Commutative, associative, idempotent. */
export function merge(a: Settings, b: Settings): Settings {
  return compare(a, b) >= 0 ? a : b;
}

/** Order of two copies: by version, then by hash; the text settles what hashes cannot. */
export function compare(a: Settings, b: Settings): number {
  if (a.version !== b.version) return a.version - b.version;
  const byHash = hashOf(a) - hashOf(b);
  if (byHash !== 0) return byHash;
  const [left, right] = [textOf(a), textOf(b)];
  return left === right ? 0 : left < right ? -1 : 1;
}

/** The record as text, for a file or for Redis: equal records give equal texts. */
export function textOf(s: Settings): string {
  const { version, paused, pausedBy, schedule } = s;
  return JSON.stringify({
    version,
    paused,
    pausedBy,
    maintenance: s.maintenance.map(({ node, by, drainUntilMs }) => ({ node, by, drainUntilMs })),
    schedule: schedule === null ? null : { id: schedule.id, to: schedule.to, atMs: schedule.atMs, by: schedule.by },
  });
}

// Every heartbeat, sent or received, asks for it; a record is never changed in place.
const hashes = new WeakMap<Settings, number>();

/** Hash of the record, a safe integer below 2^53. */
export function hashOf(s: Settings): number {
  const known = hashes.get(s);
  if (known !== undefined) return known;
  const text = textOf(s);
  const hash = (fnv(text, 0x9747b28c) & 0x1fffff) * 4_294_967_296 + fnv(text, 0x811c9dc5);
  hashes.set(s, hash);
  return hash;
}

function fnv(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** A record from its text, or null: not JSON, too long, or not a record. */
export function readSettings(text: string): Settings | null {
  if (text.length > TEXT_MAX) return null;
  try {
    return checkSettings(JSON.parse(text));
  } catch {
    return null;
  }
}

/** A record from outside data of any shape, or null when a field is missing, of another kind, or beyond its bound. */
export function checkSettings(raw: unknown): Settings | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const { version, paused, pausedBy, maintenance, schedule } = raw as Partial<Record<keyof Settings, unknown>>;
  if (!isCount(version) || version > VERSION_MAX || typeof paused !== 'boolean' || !isBy(pausedBy)) return null;
  if (!Array.isArray(maintenance) || maintenance.length > MAINTENANCE_MAX) return null;
  const entries = maintenance.map(checkMaintenance);
  const whole = entries.filter((entry) => entry !== null);
  if (whole.length < entries.length || new Set(whole.map((entry) => entry.node)).size < whole.length) return null;
  const planned = schedule === null ? null : checkSchedule(schedule);
  if (planned === undefined) return null;
  return { version, paused, pausedBy, maintenance: sorted(whole), schedule: planned };
}

function checkMaintenance(raw: unknown): Maintenance | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const { node, by, drainUntilMs } = raw as Partial<Record<keyof Maintenance, unknown>>;
  return isLabel(node) && isBy(by) && isCount(drainUntilMs) ? { node, by, drainUntilMs } : null;
}

function checkSchedule(raw: unknown): Schedule | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined;
  const { id, to, atMs, by } = raw as Partial<Record<keyof Schedule, unknown>>;
  return isCount(id) && (to === '' || isLabel(to)) && isCount(atMs) && isBy(by) ? { id, to, atMs, by } : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isLabel(value: unknown): value is NodeId {
  return typeof value === 'string' && LABEL.test(value);
}

function isBy(value: unknown): value is string {
  return typeof value === 'string' && value.length <= BY_MAX && !/\p{Cc}/u.test(value);
}
