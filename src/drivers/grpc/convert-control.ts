// Control replies on their way out: plain numbers become what the generated types want.
import type { CommandOutcome, ExplainView, HistoryRow, ModelsView, StatusView } from '../../agent/control.ts';
import type * as wire from '../../gen/control.ts';
import { int32, int64, uint32, uint64 } from './fields.ts';

/** Status for the wire. */
export function statusOut(s: StatusView): wire.StatusReply {
  return {
    ...s,
    viewAgeMs: uint64(s.viewAgeMs),
    epoch: uint64(s.epoch),
    leaseAgeMs: int64(s.leaseAgeMs),
    leaseLeftMs: int64(s.leaseLeftMs),
    ttlMs: uint32(s.ttlMs),
    renewMs: uint32(s.renewMs),
    pollMs: uint32(s.pollMs),
    lockDelayMs: uint32(s.lockDelayMs),
    vipOwnerAgeMs: int64(s.vipOwnerAgeMs),
    keepalived:
      s.keepalived === null
        ? undefined
        : { ...s.keepalived, priority: uint32(s.keepalived.priority), sinceMs: int64(s.keepalived.sinceMs) },
    nodes: s.nodes.map((row) => ({
      ...row,
      ollamaAgeMs: int64(row.ollamaAgeMs),
      epoch: uint64(row.epoch),
      seenMs: int64(row.seenMs),
      modelsComplete: uint32(row.modelsComplete),
      modelsTotal: uint32(row.modelsTotal),
      bytesBehind: uint64(row.bytesBehind),
      hot: uint32(row.hot),
      hotWanted: uint32(row.hotWanted),
      rank: int32(row.rank),
      backoffMs: uint32(row.backoffMs),
      loaded: row.loaded,
    })),
    health: s.health.map((row) => ({ ...row, ageMs: int64(row.ageMs) })),
    redis: s.redis.map((row) => ({ ...row, lastReplyAgeMs: int64(row.lastReplyAgeMs) })),
    planned: s.planned === null ? undefined : { ...s.planned, atMs: uint64(s.planned.atMs) },
    rosterVersion: uint64(s.rosterVersion),
    settingsVersion: uint64(s.settingsVersion),
    wallMs: uint64(s.wallMs),
  };
}

/** Explanation for the wire. */
export function explainOut(view: ExplainView): wire.ExplainReply {
  return view;
}

/** History for the wire. */
export function historyOut(entries: readonly HistoryRow[]): wire.HistoryReply {
  return {
    entries: entries.map((entry) => ({ ...entry, epoch: uint64(entry.epoch), atMs: uint64(entry.atMs), phasesMs: { ...entry.phasesMs } })),
  };
}

/** Models for the wire. */
export function modelsOut(view: ModelsView): wire.ModelsReply {
  return {
    nodes: view.nodes,
    models: view.models.map((model) => ({
      ...model,
      sizeBytes: uint64(model.sizeBytes),
      cells: model.cells.map((cell) => ({ ...cell, bytesBehind: uint64(cell.bytesBehind) })),
    })),
  };
}

/** A command's outcome for the wire. */
export function outcomeOut(outcome: CommandOutcome): wire.CommandReply {
  return { ...outcome, epoch: uint64(outcome.epoch), phasesMs: { ...outcome.phasesMs } };
}
