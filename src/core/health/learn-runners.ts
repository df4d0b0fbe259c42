// What /api/ps and the runner processes tell. The list proves nothing about a process: a runner that died while idle stays listed until the
// next request. The processes prove nothing about tokens: their /health is answered by another thread than the one that computes.
import { type HealthState, type RunnerFact, succeeded, type UseFact } from './state.ts';
import type { Evidence, LoadedModel, RunnerSeen } from './types.ts';

/** Two looks at an expiry that differ by more are two different expiries. */
const SAME_MS = 1500;
/** A model that had longer than this to stay did not leave by itself. */
const EARLY_MS = 10_000;
const CRASHES_MAX = 32;
const SHARES_MAX = 256;
const STARTS_MAX = 256;
/** A list or a look older than this says nothing about now. */
const FRESH_MS = 10_000;
/** Bytes younger than this are use. */
const USED_MS = 5000;

/** Takes /api/ps in. */
export function learnPs(s: HealthState, e: Extract<Evidence, { k: 'ps' }>, mono: number): HealthState {
  const ps = { status: e.status, ms: e.ms, loaded: e.loaded.length, at: mono };
  if (e.status < 200 || e.status >= 300) return { ...s, ps };
  const uses = usesOf(s, e.loaded, mono);
  const loadTrouble = e.loaded.some((m) => m.name === s.loadTrouble?.model) ? null : s.loadTrouble;
  const overdue = overdueOf(s, e.loaded, mono);
  return { ...s, ps, loaded: e.loaded, uses, overdue, loadTrouble, shares: sharesOf(s, e.loaded), lost: lostOf(s, e.loaded, mono) };
}

// A model in use shows an end in the past, too: only without any request it says that the model should be gone.
function overdueOf(s: HealthState, loaded: readonly LoadedModel[], mono: number): HealthState['overdue'] {
  const t = s.traffic;
  // Users alone count: what moves at the runners may be our own canary.
  const calm = t !== null && mono - t.at < FRESH_MS && t.waiting === 0 && (t.speaking === 0 || t.saidMs >= USED_MS);
  if (!calm) return new Map();
  const past = loaded.filter((m) => (m.expiresInMs ?? 0) < 0);
  return new Map(past.map((m) => [m.digest, s.overdue.get(m.digest) ?? mono]));
}

// A canary sets the time anew as any use does: only a change without one of ours is a user's.
function usesOf(s: HealthState, loaded: readonly LoadedModel[], mono: number): HealthState['uses'] {
  return new Map(
    loaded.map((m): [string, UseFact] => {
      const before = s.uses.get(m.digest);
      const left = m.expiresInMs ?? null;
      const endsAt = left === null ? null : mono + left;
      const same =
        before !== undefined && (before.endsAt === endsAt || Math.abs((before.endsAt ?? Infinity) - (endsAt ?? Infinity)) < SAME_MS);
      const ours = before !== undefined && s.canary.order?.model === m.name && s.canary.askedAt > (s.ps?.at ?? -Infinity) - SAME_MS;
      if (before !== undefined && (same || ours)) return [m.digest, { ...before, endsAt }];
      return [m.digest, { endsAt, keepMs: left ?? Infinity, usedAt: mono }];
    }),
  );
}

function sharesOf(s: HealthState, loaded: readonly LoadedModel[]): HealthState['shares'] {
  const shares = new Map(s.shares);
  for (const m of loaded) if (m.sizeBytes > 0) shares.set(m.digest, Math.max(shares.get(m.digest) ?? 0, m.vramBytes / m.sizeBytes));
  return shares.size > SHARES_MAX ? new Map([...shares].slice(-SHARES_MAX)) : shares;
}

/** Out of memory throws away everything that is loaded. One model fewer is an ordinary unload. */
function lostOf(s: HealthState, loaded: readonly LoadedModel[], mono: number): HealthState['lost'] {
  const here = new Set(loaded.map((m) => m.digest));
  if (s.lost !== null) return s.lost.names.every((name) => loaded.some((m) => m.name === name)) ? null : s.lost;
  const kept = s.loaded.filter((m) => m.expiresInMs === null || (m.expiresInMs ?? 0) > EARLY_MS);
  if (kept.length === 0 || kept.some((m) => here.has(m.digest))) return null;
  // An operator who unloads one by one is seen doing so; one model alone proves it only with the kernel's word.
  return kept.length > 1 || mono - s.oomAt < EARLY_MS ? { names: kept.map((m) => m.name), at: mono } : null;
}

/** Takes a look at the runner processes in. */
export function learnRunners(s: HealthState, seen: readonly RunnerSeen[], mono: number): HealthState {
  const listed = listedWeights(s, mono);
  const runners = seen.map((r): RunnerFact => {
    const before = s.runners.find((b) => b.pid === r.pid && b.startedAt === r.startedAt);
    const silent = r.answer === 'silent';
    const silences = silent ? (before?.silences ?? 0) + 1 : 0;
    const goods = silent ? 0 : (before?.goods ?? 0) + 1;
    // One that uses CPU time gets three times as long.
    const limit = s.limits.runner.failures * (r.worked && !r.stopped ? 3 : 1);
    const frozen = silences >= limit || (before?.frozen === true && goods < s.config.recoveries);
    const loadingAt = r.answer === 'loading' ? Math.min(before?.loadingAt ?? mono, mono) : Infinity;
    const unlisted = r.answer === 'ok' && r.weights !== '' && listed !== null && !listed.has(r.weights);
    const unlistedAt = unlisted ? Math.min(before?.unlistedAt ?? mono, mono) : Infinity;
    const zombie = mono - unlistedAt >= s.limits.zombieMs;
    return { ...r, silences, goods, frozen, loadingAt, unlistedAt, zombie };
  });
  const begun = runners.filter((r) => r.weights !== '' && !s.runners.some((b) => b.pid === r.pid && b.startedAt === r.startedAt));
  const starts = [...s.starts, ...begun.map(({ weights }) => ({ weights, at: mono }))].slice(-STARTS_MAX);
  const living = new Set(seen.map((r) => r.weights));
  const orphans = new Map<string, number>();
  // Only where processes are seen at all: a runner of another kind is not missed.
  for (const m of s.loaded)
    if (m.weights !== undefined && !living.has(m.weights) && (s.orphans.has(m.weights) || s.runners.some((r) => r.weights === m.weights)))
      orphans.set(m.weights, (s.orphans.get(m.weights) ?? 0) + 1);
  // Counted when the list has been read again since, and still names it.
  const fresh = [...orphans].filter(([, looks]) => looks === ORPHAN_LOOKS).length;
  const crashes = fresh > 0 ? [...s.crashes, ...Array.from({ length: fresh }, () => mono)].slice(-CRASHES_MAX) : s.crashes;
  return { ...s, runners, runnersAt: mono, orphans, crashes, starts };
}

// Null = the list does not tell: it is old, or names a model whose weights are not known.
function listedWeights(s: HealthState, mono: number): ReadonlySet<string> | null {
  if (!succeeded(s.ps) || mono - (s.ps?.at ?? 0) > FRESH_MS) return null;
  const weights = s.loaded.map((m) => m.weights);
  return weights.includes(undefined) ? null : new Set(weights.filter((w) => w !== undefined));
}

/** Looks at which a listed model has had no process, until that is believed: the list is a moment old. */
export const ORPHAN_LOOKS = 2;
