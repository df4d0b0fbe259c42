// Whose store to copy: the active's, by the newest epoch; which inventories to ask for, and the plan that follows.
import { membersOf } from './membership/machine.ts';
import { planRepair, planReplication } from './replication/plan.ts';
import type { Inventory } from './replication/types.ts';
import type { Draft } from './state.ts';
import type { NodeId, Now } from './types.ts';

// An answer that never came is asked for again after this long.
const ASK_AGAIN_MS = 1000;

/** Asks living peers whose inventory changed. One question at a time for each. */
export function askStores(d: Draft, now: Now): void {
  if (!d.config.candidate) return;
  for (const m of membersOf(d.membership)) {
    const f = m.frame;
    if (f === null || m.state !== 'alive' || !f.view.candidate || f.inventoryVersion === 0) continue;
    const have = d.stores.get(m.node);
    if (have !== undefined && have.boot === f.boot && have.inventory.version === f.inventoryVersion) continue;
    const asked = d.asked.get(m.node);
    if (asked !== undefined && asked.version === f.inventoryVersion && now.mono - asked.at < ASK_AGAIN_MS) continue;
    d.asked = new Map(d.asked).set(m.node, { version: f.inventoryVersion, at: now.mono });
    d.effects.push({ k: 'fetchInventory', from: m.node, version: f.inventoryVersion });
  }
}

/** Makes the plan anew when something it depends on changed: a standby's copy of the active, or the active's repair from its peers. */
export function replan(d: Draft): void {
  const source = d.holder.node;
  const self = source === d.config.self.node;
  if (self) d.plan = null;
  else if (d.repair !== null) [d.repair, d.planKey] = [null, ''];
  const active = d.stores.get(source);
  if (d.own === null || source === '' || (!self && active === undefined)) return;
  const peers = new Map<NodeId, Inventory>();
  let key = `${source}/${d.holder.epoch}/${d.own.version}`;
  for (const m of membersOf(d.membership)) {
    const store = d.stores.get(m.node);
    if (store === undefined || m.state !== 'alive') continue;
    key += `/${m.node}:${store.boot}:${store.inventory.version}`;
    if (m.node !== source) peers.set(m.node, store.inventory);
  }
  if (key === d.planKey) return;
  d.planKey = key;
  if (self) d.repair = planRepair(d.own, peers, d.holder.epoch);
  if (active === undefined || self) return;
  d.plan = planReplication({
    own: d.own,
    active: { node: source, inventory: active.inventory, epoch: d.holder.epoch },
    peers,
    policy: d.config.replication,
  });
}
