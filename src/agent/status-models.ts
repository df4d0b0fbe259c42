// `agentctl models`: every model of any node.

import { keyOf } from '../core/hotset/machine.ts';
import { hotModelsOf } from '../core/hotset/models.ts';
import { rosterNow } from '../core/lease/view.ts';
import { membersOf } from '../core/membership/machine.ts';
import type { Inventory } from '../core/replication/types.ts';
import type { CoreState } from '../core/state.ts';
import type { NodeId } from '../core/types.ts';
import { displayOf } from '../core/view.ts';
import type { ModelCell, ModelsView } from './control.ts';

/** `agentctl models`: every model any node holds, and its state on each. */
export function modelsOf(s: CoreState): ModelsView {
  const stores = new Map<NodeId, Inventory>();
  if (s.own !== null) stores.set(s.config.self.node, s.own);
  for (const [node, store] of s.stores) stores.set(node, store.inventory);
  const loaded = new Map(membersOf(s.membership).map((m) => [m.node, new Set(m.frame?.view.loaded.map((l) => l.weights))]));
  loaded.set(s.config.self.node, new Set(hotModelsOf(s.health?.loaded ?? []).map((l) => l.weights)));
  const nodes = [...new Set([...rosterNow(s.lease, s.config.roster), ...stores.keys()])].sort();
  const paths = new Set([...stores.values()].flatMap((i) => i.models.map((m) => m.path)));
  const leading = stores.get(s.holder.node);
  const isHot = (node: NodeId, weights: string): boolean => weights !== '' && (loaded.get(node)?.has(keyOf(weights)) ?? false);
  const models = [...paths].sort().map((path) => {
    const wanted = leading?.models.find((m) => m.path === path);
    const cells = nodes.map((node): ModelCell => {
      const inventory = stores.get(node);
      const has = inventory?.models.find((m) => m.path === path);
      if (inventory === undefined) return { node, state: 'unknown', bytesBehind: 0, hot: false, manifestDigest: '' };
      if (has === undefined) return { node, state: 'missing', bytesBehind: wanted?.sizeBytes ?? 0, hot: false, manifestDigest: '' };
      const differs = wanted !== undefined && wanted.manifestDigest !== has.manifestDigest;
      const state = differs ? 'differs' : has.complete ? 'complete' : 'partial';
      return { node, state, bytesBehind: has.missingBytes, hot: isHot(node, has.weights), manifestDigest: has.manifestDigest };
    });
    const sizeBytes =
      wanted?.sizeBytes ?? Math.max(...[...stores.values()].map((i) => i.models.find((m) => m.path === path)?.sizeBytes ?? 0));
    return { name: displayOf(path), sizeBytes, cells };
  });
  return { models, nodes };
}
