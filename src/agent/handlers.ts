// Answers to operators: reads come from the newest state, changes go through the loop as commands.
import type { HistoryEntry } from '../core/io.ts';
import { BY_MAX } from '../core/settings/record.ts';
import { readClocks } from './clock.ts';
import type { ControlCaller, ControlHandlers } from './control.ts';
import type { Loop } from './loop.ts';
import type { ScriptsPort } from './ports.ts';
import { type StatusFacts, statusOf } from './status.ts';
import { explainOf } from './status-explain.ts';
import { modelsOf } from './status-models.ts';
import type { KeepalivedFacts } from './status-vip.ts';

/** What the handlers read from. */
export type HandlerParts = {
  readonly loop: Loop;
  readonly config: { readonly preset: string; readonly vip: string };
  readonly scripts: ScriptsPort;
  readonly vipProblem: () => string;
  readonly pkiProblem: () => string;
  /** Absent where no balancer is kept. */
  readonly nginxProblem?: (() => string) | undefined;
  readonly keepalived: () => KeepalivedFacts | null;
  readonly history: () => readonly HistoryEntry[];
  readonly version: string;
  /** Null on a node without a model store. */
  readonly replication: ControlHandlers['replication'] | null;
};

const HISTORY_DEFAULT = 20;
const HISTORY_MAX = 256;

/** Who is named in settings and history: the certificate's name, or what a local user says. */
function whoOf(caller: ControlCaller, by: string): string {
  return (caller.name === '' ? by : caller.name).slice(0, BY_MAX);
}

/** The control handlers of this agent. */
export function createHandlers(parts: HandlerParts): ControlHandlers {
  const facts = (): StatusFacts => {
    const { state, reason, at } = parts.loop.view();
    return {
      state,
      now: readClocks(),
      turnAt: at,
      reason,
      preset: parts.config.preset,
      vip: parts.config.vip,
      redis: parts.scripts.view(),
      vipProblem: parts.vipProblem(),
      pkiProblem: parts.pkiProblem(),
      nginxProblem: parts.nginxProblem?.() ?? '',
      keepalived: parts.keepalived(),
      loopLateP99Ms: parts.loop.lateP99Ms(),
      version: parts.version,
    };
  };
  return {
    ...(parts.replication === null || parts.replication === undefined ? {} : { replication: parts.replication }),
    status: async () => statusOf(facts()),
    explain: async ({ node }) => explainOf(facts(), node),
    models: async () => modelsOf(parts.loop.view().state),
    history: async ({ limit }) => {
      const n = limit > 0 ? Math.min(limit, HISTORY_MAX) : HISTORY_DEFAULT;
      return parts.history().slice(-n).reverse();
    },
    switchover: async ({ to, by, dryRun, atMs, cancel }, caller) => {
      if (cancel) return parts.loop.command({ k: 'unschedule' });
      const who = whoOf(caller, by);
      if (atMs > 0) return parts.loop.command({ k: 'schedule', to, atMs, by: who });
      return parts.loop.command({ k: 'switchover', to, by: who, dryRun });
    },
    pause: async ({ paused, by, wait }, caller) => parts.loop.command({ k: 'pause', paused, by: whoOf(caller, by), wait }),
    maintenance: async (order, caller) => parts.loop.command({ k: 'maintenance', ...order, by: whoOf(caller, order.by) }),
    failover: async ({ to, by }, caller) => parts.loop.command({ k: 'failover', to, by: whoOf(caller, by) }),
    leave: async ({ by }, caller) => parts.loop.command({ k: 'leave', by: whoOf(caller, by) }),
    forget: async ({ node, by }, caller) => parts.loop.command({ k: 'forget', node, by: whoOf(caller, by) }),
  };
}
