// Answers to operators: reads come from the newest state, changes go through the loop as commands.
import type { HistoryEntry } from '../core/io.ts';
import { readClocks } from './clock.ts';
import type { ControlHandlers } from './control.ts';
import type { Loop } from './loop.ts';
import type { ScriptsPort } from './ports.ts';
import { explainOf, modelsOf, type StatusFacts, statusOf } from './status.ts';

/** What the handlers read from. */
export type HandlerParts = {
  readonly loop: Loop;
  readonly config: { readonly preset: string; readonly vip: string };
  readonly scripts: ScriptsPort;
  readonly vipProblem: () => string;
  readonly history: () => readonly HistoryEntry[];
  readonly version: string;
};

const HISTORY_DEFAULT = 20;
const HISTORY_MAX = 256;

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
      version: parts.version,
    };
  };
  return {
    status: async () => statusOf(facts()),
    explain: async ({ node }) => explainOf(facts(), node),
    models: async () => modelsOf(parts.loop.view().state),
    history: async ({ limit }) => {
      const n = limit > 0 ? Math.min(limit, HISTORY_MAX) : HISTORY_DEFAULT;
      return parts.history().slice(-n).reverse();
    },
    switchover: async ({ to, by, dryRun }, caller) => {
      const who = caller.name === '' ? by : caller.name;
      return parts.loop.command({ k: 'switchover', to, by: who.slice(0, 64), dryRun });
    },
  };
}
