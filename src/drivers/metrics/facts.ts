// What a scrape reads: the same snapshots that the control service answers from, and what was counted.
import type { AlertsView, ReplicationView, StatusView } from '../../agent/control.ts';
import type { NginxView } from '../../agent/ports.ts';
import type { Card, Interface, Memory } from './host.ts';
import type { Tally } from './tally.ts';

/** Everything at the moment of a scrape. Null parts are absent on this node. */
export type MetricsFacts = {
  readonly status: StatusView;
  /** This node may act now: it holds the lease and its deadline has not passed. */
  readonly acting: boolean;
  readonly replication: ReplicationView | null;
  readonly alerts: AlertsView;
  readonly tally: Tally;
  readonly traffic: { readonly messages: number; readonly bytes: number };
  /** Null or absent where no balancer is kept. */
  readonly nginx?: NginxView | null;
  readonly memory: Memory | null;
  readonly interfaces: readonly Interface[];
  readonly cards: readonly Card[];
  readonly process: { readonly residentBytes: number; readonly cpuSeconds: number; readonly startedAtMs: number };
};
