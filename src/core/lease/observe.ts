// What a contender has seen of each Redis server, and when that entitles it to claim ("ripe").
//
// Rules (facts: observed-change lease):
//   - Only the own monotonic clock counts, from the moment a reply was handled. A reply handled late can only delay a claim.
//   - A new run_id is a new server: nothing its record says is trusted, not even its lockDelay, before wait(T + L) has passed.   (A)
//   - A released record needs no further wait, but only its heir may take it within heirGrace.                                  (B)
//   - A vacant record carries a nonce (tombstone), so that vacancy has an identity; it waits for T + L.                          (C)
//   - An owned record waits for the longer of the two T plus the lockDelay its holder announced for the whole epoch.             (D)
import type { NodeId } from '../types.ts';
import { ownerOf } from '../types.ts';
import { waitMs } from './timing.ts';
import type { LeaseConfig, Snap } from './types.ts';

/** What the record's meta says, already bounded. */
export type MetaSeen = {
  readonly ttlMs: number;
  readonly lockDelayMs: number;
  readonly roster: readonly NodeId[];
  readonly rosterVersion: number;
  readonly addr: string;
};

/** One server as this node has seen it. */
export type Observation = {
  readonly snap: Snap;
  readonly meta: MetaSeen;
  /** Monotonic ms since when this run_id, and this record, have been the same. */
  readonly runSince: number;
  readonly recSince: number;
  /** Monotonic ms of the last reply. */
  readonly seenAt: number;
};

/**
 * First-hand word of a former holder that it will never act again under this epoch, and when it was heard (monotonic ms). `heir`: it was
 * addressed to this node, which is to claim at once.
 */
export type SteppedDown = {
  readonly node: NodeId;
  readonly boot: number;
  readonly epoch: number;
  readonly at: number;
  readonly heir: boolean;
};

// No preset and no override comes near this; a larger number in a record is garbage, and an endless wait would be an outage by bad input.
const META_MS_MAX = 60_000;
const ROSTER_MAX = 256;

/** Reads the meta text of a record. Anything malformed counts as the most cautious value: own T, largest lockDelay, no roster. */
function readMeta(text: string, config: LeaseConfig): MetaSeen {
  const cautious: MetaSeen = { ttlMs: config.ttlMs, lockDelayMs: config.lockDelayMs, roster: [], rosterVersion: 0, addr: '' };
  if (text === '' || text.length > 16_384) return cautious;
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return cautious;
  }
  if (typeof raw !== 'object' || raw === null) return cautious;
  const field = raw as { ttl?: unknown; lockDelay?: unknown; roster?: unknown; rosterVersion?: unknown; addr?: unknown };
  const ms = (value: unknown, fallback: number) => (typeof value === 'number' && value >= 0 && value <= META_MS_MAX ? value : fallback);
  const roster =
    Array.isArray(field.roster) && field.roster.length <= ROSTER_MAX
      ? field.roster.filter((id): id is string => typeof id === 'string' && id.length <= 63)
      : [];
  return {
    ttlMs: ms(field.ttl, config.ttlMs),
    lockDelayMs: ms(field.lockDelay, config.lockDelayMs),
    roster,
    rosterVersion: typeof field.rosterVersion === 'number' && Number.isSafeInteger(field.rosterVersion) ? field.rosterVersion : 0,
    addr: typeof field.addr === 'string' ? field.addr.slice(0, 255) : '',
  };
}

/** Takes a reply into account. `at` is the moment it is handled. */
export function observe(before: Observation | null, snap: Snap, at: number, config: LeaseConfig): Observation {
  if (before === null || before.snap.run !== snap.run) {
    return { snap, meta: readMeta(snap.meta, config), runSince: at, recSince: at, seenAt: at };
  }
  const b = before.snap;
  const same = b.o === snap.o && b.e === snap.e && b.n === snap.n && b.rel === snap.rel;
  const meta = b.meta === snap.meta ? before.meta : readMeta(snap.meta, config);
  return { snap, meta, runSince: before.runSince, recSince: same ? before.recSince : at, seenAt: at };
}

/** The word of the record's owner that it is done with exactly this epoch, if it was heard. */
export function stepDownOf(snap: Snap, said: readonly SteppedDown[]): SteppedDown | undefined {
  if (said.length === 0) return undefined;
  const epoch = Number(snap.e);
  return said.find((s) => s.epoch === epoch && snap.o === ownerOf(s));
}

/**
 * Monotonic ms from which a claim may be sent to this server, judged at send time. Infinity while the record has no identity yet.
 * `mine` is this node's id.
 */
export function ripeAt(seen: Observation, mine: NodeId, said: readonly SteppedDown[], config: LeaseConfig): number {
  const { snap, meta } = seen;
  if (snap.n === '') return Number.POSITIVE_INFINITY;
  const runOk = seen.runSince + waitMs(config.ttlMs + config.lockDelayMs, config.driftPpm);
  if (snap.o === '') return Math.max(runOk, seen.recSince + waitMs(config.ttlMs + config.lockDelayMs, config.driftPpm));
  if (snap.rel === '1') {
    const open = snap.heir === '' || snap.heir === mine;
    return open ? Math.max(runOk, seen.recSince) : Math.max(runOk, seen.recSince + config.heirGraceMs + 1);
  }
  const word = stepDownOf(snap, said);
  // The owner's RELEASE may have changed the nonce since the last look: a claim on what was seen before its word would only fail.
  // Ripe from the word on, not from the last change of the record, which lies long behind: the ranks' delays count from here.
  if (word !== undefined) return seen.seenAt > word.at ? Math.max(runOk, seen.recSince, word.at) : Number.POSITIVE_INFINITY;
  return Math.max(runOk, seen.recSince + waitMs(Math.max(config.ttlMs, meta.ttlMs) + meta.lockDelayMs, config.driftPpm));
}
