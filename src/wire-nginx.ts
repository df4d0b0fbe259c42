// The nginx driver and what it is told on every turn.
import { readMono } from './agent/clock.ts';
import type { BalancerPort } from './agent/ports.ts';
import type { Config } from './config/schema.ts';
import { balanceNodes } from './core/balance/nodes.ts';
import { type BalancePolicy, upstreamOf } from './core/balance/upstream.ts';
import { openNginx } from './drivers/nginx/nginx.ts';
import type { AgentLog } from './log.ts';

// An agent that has just started has heard of nobody: the file of its predecessor knows better.
const QUIET_MS = 5000;

/** Null without an `nginx:` section. */
export function openBalancer(config: Config, log: AgentLog): BalancerPort | null {
  const { nginx } = config;
  if (nginx === undefined) return null;
  const policy: BalancePolicy =
    nginx.policy === 'weighted' ? { k: 'weighted', weights: new Map(Object.entries(nginx.weights)) } : { k: 'active-standby' };
  const driver = openNginx({ ...nginx, config: nginx.config ?? null, log: (level, event, text) => log(level, event, text, {}) });
  const places = new Map(config.cluster.nodes.map((place) => [place.id, place.address]));
  const startedAt = readMono();
  return {
    apply(state, now) {
      const nodes = balanceNodes(state, now, places);
      if (now.mono - startedAt < QUIET_MS && !nodes.some((n) => n.active && n.fit)) return;
      driver.apply(upstreamOf(nodes, policy));
    },
    view: driver.view,
    close: driver.close,
  };
}
