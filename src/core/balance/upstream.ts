// Which Ollama servers a balancer lists, from roles and health. The list is never empty while a node is known: with nobody fit a balancer
// that lists the unfit ones still serves whoever the judgement wrongs (its own network may be what is broken).
import type { NodeId } from '../types.ts';

/** A candidate as the balancer's agent sees it. */
export type BalanceNode = {
  readonly node: NodeId;
  /** IP address or host name, without a port. */
  readonly host: string;
  readonly active: boolean;
  /** Alive in the gossip, and its Ollama answers. */
  readonly fit: boolean;
  readonly draining: boolean;
  /** It has every model that it shall have. */
  readonly complete: boolean;
};

/** How requests are spread. `weights` by node id; a node without one has 1, one with 0 is only a backup. */
export type BalancePolicy = { readonly k: 'active-standby' } | { readonly k: 'weighted'; readonly weights: ReadonlyMap<NodeId, number> };

/** One line of an upstream. A backup gets requests only while no other server takes them. */
export type UpstreamServer = { readonly node: NodeId; readonly host: string; readonly weight: number; readonly backup: boolean };

/** The servers to list, by node id. `nodes` in the order of heirs: without an active one the first of them stands for it. */
export function upstreamOf(nodes: readonly BalanceNode[], policy: BalancePolicy): UpstreamServer[] {
  const usable = usableOf(nodes);
  const active = usable.find((n) => n.active) ?? usable.find((n) => n.complete) ?? usable[0];
  const servers = usable.map((n): UpstreamServer => {
    if (policy.k === 'active-standby') return { node: n.node, host: n.host, weight: 1, backup: n !== active };
    const weight = policy.weights.get(n.node) ?? 1;
    // A standby that still copies would answer "model not found".
    return { node: n.node, host: n.host, weight: Math.max(1, weight), backup: weight === 0 || !(n.active || n.complete) };
  });
  const listed = servers.some((s) => !s.backup) ? servers : servers.map((s) => (s.node === active?.node ? { ...s, backup: false } : s));
  return listed.sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** The fit ones that do not drain; without any the unfit ones; draining ones (which still serve) only when nothing else is left. */
function usableOf(nodes: readonly BalanceNode[]): readonly BalanceNode[] {
  const staying = nodes.filter((n) => !n.draining);
  const fit = staying.filter((n) => n.fit);
  if (fit.length > 0) return fit;
  return staying.length > 0 ? staying : nodes;
}
