// Alerts of this node: looks at the facts now and then, reports failovers at once, answers operators. What is to be sent goes to the outbox.
import { createAlerts, type SavedAlert, savedOf, senderOf, stepAlerts } from '../core/alerts/machine.ts';
import { titleOf } from '../core/alerts/message.ts';
import { reportOf } from '../core/alerts/report.ts';
import { ruleOf } from '../core/alerts/rules.ts';
import type { AlertFacts, AlertLimits, Notice } from '../core/alerts/types.ts';
import type { HistoryEntry } from '../core/io.ts';
import type { NodeId, Now } from '../core/types.ts';
import { type AlertHandlers, ControlError } from './control.ts';
import type { AlertRow, AlertsView, ChannelRow } from './control-alerts.ts';

/** What carries messages away. `send` has put them on disk when it returns. */
export type Outbox = {
  send(notice: Notice): void;
  test(channel: string, notice: Notice): Promise<readonly { readonly channel: string; readonly error: string }[]>;
  view(): readonly ChannelRow[];
};

/** What must outlive the process. */
type Memory = { readonly reportedEpoch: number; readonly alerts: readonly SavedAlert[] };

/** What alerts are made of. */
export type AlertsOptions = {
  readonly cluster: string;
  readonly node: NodeId;
  readonly facts: () => Promise<AlertFacts>;
  readonly limits: AlertLimits;
  readonly outbox: Outbox;
  /** Null = no earlier process left anything. */
  readonly memory: Memory | null;
  readonly save: (memory: Memory) => void;
  /** Lines of history on disk, newest last. */
  readonly history: readonly HistoryEntry[];
  readonly clock: () => Now;
  readonly everyMs?: number;
};

/** Running alerts. */
export type Alerts = {
  readonly handlers: AlertHandlers;
  readonly view: () => AlertsView;
  /** A line of history that this node writes now. */
  readonly history: (entry: HistoryEntry) => void;
  readonly close: () => void;
};

const EVERY_MS = 2000;
// A cluster that has just started has neither a holder nor members; that is no news.
const SETTLE_MS = 5000;

/** Begins to look. Failovers of which an earlier process could not report any more are reported first. */
export function startAlerts(options: AlertsOptions): Alerts {
  const { node, cluster, outbox, limits, clock } = options;
  let state = createAlerts(options.memory?.alerts ?? [], clock());
  let reportedEpoch = options.memory?.reportedEpoch ?? options.history.reduce((max, entry) => Math.max(max, entry.epoch), 0);
  let sender = '';
  let saved = JSON.stringify(options.memory?.alerts ?? []);
  let busy = false;
  const startedAt = clock().mono;

  function save(): void {
    options.save({ reportedEpoch, alerts: savedOf(state) });
  }

  // The new active tells of its own move; what is missed is told by the holder that missed it.
  function history(entry: HistoryEntry): void {
    const mine = entry.to === node;
    const missed = entry.cause === 'missed';
    if (!mine || (!missed && entry.epoch <= reportedEpoch)) return;
    const report = reportOf(entry, cluster, node, clock().wall);
    if (report !== null && !limits.off.includes('failover')) outbox.send(report);
    reportedEpoch = Math.max(reportedEpoch, entry.epoch);
    save();
  }

  async function look(): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      const facts = await options.facts();
      sender = senderOf(facts);
      if (clock().mono - startedAt < SETTLE_MS) return;
      const turn = stepAlerts(state, facts, limits, clock());
      state = turn.state;
      for (const notice of turn.notices) outbox.send(notice);
      const next = JSON.stringify(savedOf(state));
      if (next !== saved) {
        saved = next;
        save();
      }
    } finally {
      busy = false;
    }
  }

  function rows(): AlertRow[] {
    return [...state.active.values()].map(({ name, subject, args, firing, sinceMs }) => ({
      name,
      subject,
      severity: ruleOf(name)?.severity ?? 'warning',
      state: firing ? ('firing' as const) : ('pending' as const),
      sinceMs,
      text: titleOf(name, subject, args),
    }));
  }

  for (const entry of options.memory === null ? [] : options.history) if (entry.cause !== 'missed') history(entry);
  if (options.memory === null) save();
  const timer = setInterval(() => void look().catch(() => undefined), options.everyMs ?? EVERY_MS);
  const view = (): AlertsView => ({ asked: node, sender, alerts: rows(), channels: outbox.view() });
  return {
    view,
    history,
    close: () => clearInterval(timer),
    handlers: {
      list: async () => view(),
      async test({ channel, by }) {
        const known = outbox.view().map((one) => one.name);
        if (channel !== '' && !known.includes(channel)) {
          throw new ControlError(
            'not_found',
            `no channel ${channel}`,
            `channels of this node: ${known.length === 0 ? 'none' : known.join(', ')}`,
          );
        }
        const { wall } = clock();
        const notice: Notice = { k: 'test', key: `${cluster}/test/${node}/${wall}`, cluster, node, severity: 'info', by, atMs: wall };
        return (await outbox.test(channel, notice)).map(({ channel: name, error }) => ({ channel: name, ok: error === '', error }));
      },
    },
  };
}
