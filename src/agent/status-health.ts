// The health of the local Ollama, level by level, and what differs between the nodes of a cluster.
import { levelsOf } from '../core/health/levels.ts';
import type { HotModel } from '../core/hotset/types.ts';
import { membersOf } from '../core/membership/machine.ts';
import type { CoreState } from '../core/state.ts';
import type { Now } from '../core/types.ts';
import { ownView } from '../core/view.ts';
import type { HealthRow, NodeRow } from './control.ts';

/** One row for each level; none on a witness. */
export function healthRows(s: CoreState, now: Now): HealthRow[] {
  if (s.health === null) return [];
  return levelsOf(s.health, now.mono).map(({ level, state, text, at }) => ({
    level,
    state,
    text,
    ageMs: Number.isFinite(at) ? Math.max(0, Math.round(now.mono - at)) : -1,
  }));
}

/** The levels in words. */
export function healthFacts(s: CoreState, now: Now): string[] {
  return healthRows(s, now).map((row) => `${row.level} ${row.state}: ${row.text}`);
}

/** What of the hot set is not in memory here, and why. */
export function hotMissing(s: CoreState): string[] {
  return s.hot.report.missing.map((m) => `${m.name}: ${m.why}`);
}

/** Levels that are not well here, a hot set that is not whole, and what differs between the nodes. */
export function healthWarnings(s: CoreState, rows: readonly NodeRow[], now: Now): string[] {
  const versions = new Set(rows.flatMap((r) => (r.ollamaVersion === '' ? [] : [r.ollamaVersion])));
  return [
    ...healthRows(s, now)
      .filter((row) => row.state === 'warning' || row.state === 'failed')
      .map((row) => `ollama here, ${row.level} ${row.state}: ${row.text}`),
    ...hotMissing(s).map((text) => `hot set here: ${text}`),
    ...(versions.size > 1 ? [`Ollama versions differ: ${[...versions].sort().join(', ')}`] : []),
    ...contextsDiffer(s, now),
  ];
}

/** Models that are loaded with different contexts: their answers, and the memory they take, differ. */
function contextsDiffer(s: CoreState, now: Now): string[] {
  const members = membersOf(s.membership).filter((m) => m.state === 'alive' && m.frame !== null);
  const nodes: { node: string; loaded: readonly HotModel[] }[] = [
    { node: s.config.self.node, loaded: ownView(s, now).loaded },
    ...members.map((m) => ({ node: m.node, loaded: m.frame?.view.loaded ?? [] })),
  ];
  const byWeights = new Map<string, { name: string; at: { node: string; context: number }[] }>();
  for (const { node, loaded } of nodes)
    for (const m of loaded) {
      const entry = byWeights.get(m.weights) ?? { name: m.name, at: [] };
      if (m.contextLength !== null) entry.at.push({ node, context: m.contextLength });
      byWeights.set(m.weights, entry);
    }
  return [...byWeights.values()]
    .filter(({ at }) => new Set(at.map((a) => a.context)).size > 1)
    .map(({ name, at }) => `contexts of ${name} differ: ${at.map((a) => `${a.node} ${a.context}`).join(', ')}`);
}
