// Every alert: when it holds, how long it must hold, who sends it, and which runbook helps. docs/alerts.md lists the same table (a test compares).
import type { AlertFacts, AlertLimits, AlertNode, Condition, Severity } from './types.ts';

/** Sections of the runbooks. */
export type Runbook = 'node-died' | 'split-brain' | 'redis-lost' | 'restore' | 'replace-a-node' | 'upgrade';

/** One alert. */
export type AlertRule = {
  readonly name: string;
  readonly severity: Severity;
  /** `cluster`: only one node sends it; `node`: it is about this host, which sends it itself. */
  readonly scope: 'cluster' | 'node';
  /** It must hold for so long before it fires. */
  readonly forMs: (limits: AlertLimits) => number;
  readonly runbook: Runbook;
  /** What it is about and the values of its text; empty = it does not hold. */
  readonly find: (facts: AlertFacts, limits: AlertLimits) => readonly Omit<Condition, 'name'>[];
};

const SECOND = 1000;
const MINUTE = 60 * SECOND;

type Found = Omit<Condition, 'name'>;
const about = (subject: string, args: Found['args'] = {}): Found => ({ subject, args });
const when = (holds: boolean, args: Found['args'] = {}): readonly Found[] => (holds ? [about('', args)] : []);
const self = (f: AlertFacts, holds: boolean, args: Found['args'] = {}): readonly Found[] => (holds ? [about(f.asked, args)] : []);
const nodes = (f: AlertFacts, holds: (n: AlertNode) => boolean, args: (n: AlertNode) => Found['args'] = () => ({})): readonly Found[] =>
  f.nodes.filter(holds).map((n) => about(n.node, args(n)));
const here = (n: AlertNode): boolean => n.state === 'alive' || n.state === 'self' || n.state === 'suspect';
const after = (ms: number) => () => ms;

/** Nodes that may take over: standby, alive, and without a veto. */
function heirsReady(f: AlertFacts): readonly AlertNode[] {
  return f.nodes.filter(
    (n) => n.node !== f.holder && n.role === 'standby' && n.vetoes.length === 0 && (n.state === 'alive' || n.state === 'self'),
  );
}

/** All of them, the worst first. */
export const alertRules: readonly AlertRule[] = [
  {
    name: 'split_brain_suspected',
    severity: 'critical',
    scope: 'cluster',
    forMs: after(0),
    runbook: 'split-brain',
    find: (f) => when(f.splitBrain, { vip: f.vip }),
  },
  {
    name: 'no_leader',
    severity: 'critical',
    scope: 'cluster',
    forMs: after(5 * SECOND),
    runbook: 'node-died',
    find: (f) => when(f.holder === '', { reason: f.reason }),
  },
  {
    name: 'no_redis',
    severity: 'critical',
    scope: 'cluster',
    forMs: after(10 * SECOND),
    runbook: 'redis-lost',
    find: (f) => when(f.mode === 'no-redis', { up: f.redis.filter((r) => r.up).length, servers: f.redis.length }),
  },
  {
    name: 'failsafe',
    severity: 'critical',
    scope: 'cluster',
    forMs: after(2 * SECOND),
    runbook: 'redis-lost',
    find: (f) => when(f.mode === 'failsafe', { holder: f.holder }),
  },
  {
    name: 'vip_elsewhere',
    severity: 'critical',
    scope: 'cluster',
    forMs: after(10 * SECOND),
    runbook: 'split-brain',
    find: (f) => when(f.holder !== '' && f.vipOwner !== '' && f.vipOwner !== f.holder, { vip: f.vip, owner: f.vipOwner, holder: f.holder }),
  },
  {
    name: 'ollama_down',
    severity: 'critical',
    scope: 'cluster',
    forMs: after(5 * SECOND),
    runbook: 'node-died',
    find: (f) =>
      nodes(
        f,
        (n) => here(n) && n.ollama === 'down',
        (n) => ({ reason: n.ollamaReason }),
      ),
  },
  {
    name: 'scrub_corrupt',
    severity: 'critical',
    scope: 'node',
    forMs: after(0),
    runbook: 'restore',
    find: (f) => self(f, (f.store?.corruptBlobs ?? 0) > 0, { blobs: f.store?.corruptBlobs ?? 0 }),
  },
  {
    name: 'agent_down',
    severity: 'warning',
    scope: 'cluster',
    forMs: after(10 * SECOND),
    runbook: 'node-died',
    find: (f) => nodes(f, (n) => n.state === 'dead'),
  },
  {
    name: 'no_standby',
    severity: 'warning',
    scope: 'cluster',
    forMs: after(30 * SECOND),
    runbook: 'node-died',
    find: (f) => when(f.holder !== '' && heirsReady(f).length === 0, { why: whyNot(f) }),
  },
  {
    name: 'no_better_node',
    severity: 'critical',
    scope: 'cluster',
    forMs: after(5 * SECOND),
    runbook: 'node-died',
    find: (f) => when(f.mode === 'degraded', { holder: f.holder }),
  },
  {
    name: 'fence_missing',
    severity: 'warning',
    scope: 'cluster',
    forMs: after(30 * SECOND),
    runbook: 'split-brain',
    find: (f) => nodes(f, (n) => f.vip !== '' && here(n) && n.assignedRole !== 'witness' && n.fence === 'none'),
  },
  {
    name: 'ollama_degraded',
    severity: 'warning',
    scope: 'cluster',
    forMs: after(MINUTE),
    runbook: 'node-died',
    find: (f) =>
      nodes(
        f,
        (n) => here(n) && n.ollama === 'degraded',
        (n) => ({ reason: n.ollamaReason }),
      ),
  },
  {
    name: 'redis_down',
    severity: 'warning',
    scope: 'cluster',
    forMs: after(30 * SECOND),
    runbook: 'redis-lost',
    find: (f) => f.redis.filter((r) => !r.up).map((r) => about(r.server, { error: r.lastError })),
  },
  {
    name: 'flapping',
    severity: 'warning',
    scope: 'cluster',
    forMs: after(0),
    runbook: 'node-died',
    find: (f) =>
      nodes(
        f,
        (n) => n.backoffMs > 0,
        (n) => ({ seconds: Math.ceil(n.backoffMs / SECOND) }),
      ),
  },
  {
    name: 'replication_lag',
    severity: 'warning',
    scope: 'cluster',
    forMs: (limits) => limits.lagMs,
    runbook: 'restore',
    find: (f) =>
      nodes(
        f,
        (n) => here(n) && n.bytesBehind > 0,
        (n) => ({ megabytes: Math.ceil(n.bytesBehind / 1e6) }),
      ),
  },
  {
    name: 'replication_blocked',
    severity: 'warning',
    scope: 'node',
    forMs: after(MINUTE),
    runbook: 'restore',
    find: (f) => self(f, (f.store?.blocked ?? '') !== '', { reason: f.store?.blocked ?? '' }),
  },
  {
    name: 'models_lost',
    severity: 'warning',
    scope: 'node',
    forMs: after(0),
    runbook: 'restore',
    find: (f) => self(f, (f.store?.lost ?? '') !== '', { reason: f.store?.lost ?? '' }),
  },
  {
    name: 'keepalived_differs',
    severity: 'warning',
    scope: 'node',
    forMs: after(30 * SECOND),
    runbook: 'split-brain',
    find: (f) => self(f, f.keepalivedDiffers !== '', { reason: f.keepalivedDiffers }),
  },
  {
    name: 'response_slow',
    severity: 'warning',
    scope: 'node',
    forMs: after(MINUTE),
    runbook: 'node-died',
    find: (f, limits) =>
      self(f, f.responseMs !== null && f.responseMs > limits.responseMs, { ms: Math.round(f.responseMs ?? 0), limit: limits.responseMs }),
  },
  {
    name: 'memory_high',
    severity: 'warning',
    scope: 'node',
    forMs: after(5 * MINUTE),
    runbook: 'node-died',
    find: (f, limits) =>
      self(f, f.memoryUsed !== null && f.memoryUsed > limits.memoryMax, {
        percent: Math.round(100 * (f.memoryUsed ?? 0)),
        limit: Math.round(100 * limits.memoryMax),
      }),
  },
  {
    name: 'paused',
    severity: 'info',
    scope: 'cluster',
    forMs: after(60 * MINUTE),
    runbook: 'upgrade',
    find: (f) => when(f.mode === 'paused', { by: f.pausedBy }),
  },
];

const byName = new Map(alertRules.map((rule) => [rule.name, rule]));

/** The rule of a name; undefined for an alert of another version. */
export function ruleOf(name: string): AlertRule | undefined {
  return byName.get(name);
}

/** Everything that holds now. */
export function conditionsOf(facts: AlertFacts, limits: AlertLimits): readonly Condition[] {
  return alertRules.flatMap((rule) => rule.find(facts, limits).map((found) => ({ name: rule.name, ...found })));
}

function whyNot(f: AlertFacts): string {
  const others = f.nodes.filter((n) => n.node !== f.holder && n.assignedRole !== 'witness');
  if (others.length === 0) return '-';
  return others
    .map((n) => `${n.node}: ${n.vetoes[0] ?? n.state}`)
    .join('; ')
    .slice(0, 300);
}
