// One report for each failover: what happened, in which order, who acts now, and what to check.
import type { HistoryEntry } from '../io.ts';
import type { NodeId } from '../types.ts';
import type { Runbook } from './rules.ts';
import type { Notice, Severity } from './types.ts';

/** What a cause means for people. */
type CauseRule = { readonly severity: Severity; readonly runbook: Runbook };

const causes: Readonly<Record<string, CauseRule>> = {
  planned: { severity: 'info', runbook: 'upgrade' },
  stop: { severity: 'info', runbook: 'upgrade' },
  released: { severity: 'warning', runbook: 'node-died' },
  forced: { severity: 'warning', runbook: 'node-died' },
  missed: { severity: 'warning', runbook: 'upgrade' },
  expired: { severity: 'critical', runbook: 'node-died' },
  ollama: { severity: 'critical', runbook: 'node-died' },
  fence: { severity: 'critical', runbook: 'split-brain' },
  vip: { severity: 'critical', runbook: 'split-brain' },
  clock: { severity: 'critical', runbook: 'split-brain' },
  redis: { severity: 'critical', runbook: 'redis-lost' },
};
const unknownCause: CauseRule = { severity: 'warning', runbook: 'node-died' };

/** Severity and runbook of a cause. */
export function causeOf(cause: string): CauseRule {
  return causes[cause] ?? unknownCause;
}

/** The report of a line of history; null when it is none: a first claim, or the same node again after a restart of the agent. */
export function reportOf(entry: HistoryEntry, cluster: string, node: NodeId, wallMs: number): Notice | null {
  if (entry.cause === 'first') return null;
  const key = `${cluster}/failover/${entry.epoch}${entry.cause === 'missed' ? '/missed' : ''}`;
  return { k: 'report', key, cluster, node, severity: causeOf(entry.cause).severity, entry, atMs: wallMs };
}

/** Phases of a move in their order. */
const phaseOrder = ['revokeMs', 'releaseMs', 'waitMs', 'claimMs', 'vipMs'] as const;

/** One step of the timeline: when it began after the first, and how long it took, ms. */
export type TimelineStep = { readonly phase: (typeof phaseOrder)[number]; readonly fromMs: number; readonly ms: number };

/** The steps of a move, as far as they are known. */
export function timelineOf(entry: HistoryEntry): readonly TimelineStep[] {
  let fromMs = 0;
  return phaseOrder.flatMap((phase) => {
    const ms = entry.phasesMs[phase];
    if (ms === undefined) return [];
    const step = { phase, fromMs: Math.round(fromMs * 10) / 10, ms };
    fromMs += ms;
    return [step];
  });
}

/** How long the move took, ms; null = not told. */
export function totalMsOf(entry: HistoryEntry): number | null {
  return entry.phasesMs.totalMs ?? null;
}
