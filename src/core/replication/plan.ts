// What a standby fetches next. Pure: two inventories in, a plan out.
//
// Rules: only what the active holds complete travels; required models first, then the smaller ones, so that most models stand by soon.
// A path that is complete here with another manifest is a conflict: named, and settled in favour of the active, whose lease makes it the
// one writer. What only this node has stays. A name that differs from an existing one by case alone is refused, because Ollama's lookup
// would then answer with either. A store that is refused plans nothing: half a truth about a store is no ground to write to another.
import type { NodeId } from '../types.ts';
import { caseKey, displayName, isModelPath, isSha256, pathOfName } from './names.ts';
import type {
  FetchBlobAhead,
  FetchModel,
  Inventory,
  ModelPath,
  RefusedModel,
  ReplicationPlan,
  ReplicationPolicy,
  StoreModel,
} from './types.ts';

/** What the plan is made of. `active` is the lease holder's inventory under its epoch, `peers` those of the other nodes. */
export type PlanArgs = {
  readonly own: Inventory;
  readonly active: { readonly node: NodeId; readonly inventory: Inventory; readonly epoch: number };
  readonly peers: ReadonlyMap<NodeId, Inventory>;
  readonly policy: ReplicationPolicy;
};

/** Plans one round. The same arguments give the same plan, whatever the order of the inventories' models. */
export function planReplication(args: PlanArgs): ReplicationPlan {
  const { own, active, policy } = args;
  if (own.refused !== null) return emptyPlan(`this node's store: ${own.refused}`);
  if (active.inventory.refused !== null) return emptyPlan(`the store of ${active.node}: ${active.inventory.refused}`);

  const required = requiredKeys(policy);
  const takes = (model: StoreModel) => model.complete && selected(displayName(model.path), caseKey(model.path), policy, required);
  const wanted = byPath(active.inventory.models).filter(takes);
  const { allowed, refused } = withoutCaseVariants(wanted, own.models);
  const local = new Map(own.models.map((model) => [model.path, model]));
  const behind = allowed.filter((model) => !holds(local.get(model.path), model));
  const ahead = aheadOf(args);

  return {
    fetch: byUrgency(behind, required).map((model) => orderFor(model, args, required)),
    conflicts: conflictsIn(behind, local),
    extra: extraOf(own, active.inventory),
    refused,
    blocked: null,
    bytesBehind: behind.reduce((sum, model) => sum + bytesMissing(local.get(model.path), model), 0),
    modelsComplete: allowed.length - behind.length,
    modelsTotal: wanted.length,
    ...(ahead.length === 0 ? {} : { ahead }),
  };
}

/** The active is the only source: a standby that fetches the blob too shares its chunks without being asked here. */
function aheadOf({ active, policy }: PlanArgs): readonly FetchBlobAhead[] {
  if (policy.ahead !== true) return [];
  const sound = (active.inventory.loose ?? []).filter((ref) => isSha256(ref.digest) && ref.sizeBytes > 0);
  return [...sound]
    .sort((a, b) => b.sizeBytes - a.sizeBytes || compare(a.digest, b.digest))
    .map(({ digest, sizeBytes }) => ({ digest, sizeBytes, sources: [active.node] }));
}

function emptyPlan(blocked: string | null): ReplicationPlan {
  return {
    fetch: [],
    conflicts: [],
    extra: [],
    refused: [],
    blocked,
    bytesBehind: 0,
    modelsComplete: 0,
    modelsTotal: 0,
  };
}

/** True for a model that takes part in replication without being required: one that may also be removed as the active removes it. */
export function isOptional(path: ModelPath, policy: ReplicationPolicy): boolean {
  const required = requiredKeys(policy);
  return !required.has(caseKey(path)) && selected(displayName(path), caseKey(path), policy, required);
}

function requiredKeys(policy: ReplicationPolicy): ReadonlySet<string> {
  return new Set(policy.required.map((name) => caseKey(pathOfName(name) ?? name)));
}

function selected(name: string, key: string, policy: ReplicationPolicy, required: ReadonlySet<string>): boolean {
  if (required.has(key)) return true;
  return policy.include.some((glob) => glob.test(name)) && !policy.exclude.some((glob) => glob.test(name));
}

/** Plain code unit order, so that every node sorts alike whatever its locale. */
function byPath(models: readonly StoreModel[]): readonly StoreModel[] {
  return [...models].sort((a, b) => compare(a.path, b.path));
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/**
 * Splits the wanted models. Every path that exists here counts as taken, complete or not; among two casings of the active's own, the one
 * that is here already wins, else the first in order.
 */
function withoutCaseVariants(
  wanted: readonly StoreModel[],
  own: readonly StoreModel[],
): { readonly allowed: readonly StoreModel[]; readonly refused: readonly RefusedModel[] } {
  const exact = new Set(own.map((model) => model.path));
  const taken = new Map(own.map((model) => [caseKey(model.path), model.path]));
  const allowed: StoreModel[] = [];
  const refused: RefusedModel[] = [];
  for (const model of wanted) {
    const other = exact.has(model.path) ? model.path : taken.get(caseKey(model.path));
    const reason =
      unfit(model) ?? (other === undefined || other === model.path ? null : `differs from ${displayName(other)} by case alone`);
    if (reason === null) {
      allowed.push(model);
      taken.set(caseKey(model.path), model.path);
    } else {
      refused.push({ path: model.path, reason });
    }
  }
  return { allowed, refused };
}

/** Inventories arrive from peers: what breaks the grammar never becomes an order. */
function unfit(model: StoreModel): string | null {
  if (!isModelPath(model.path)) return 'not a name that Ollama accepts';
  return isSha256(model.manifestDigest) ? null : 'its manifest digest is malformed';
}

function holds(local: StoreModel | undefined, model: StoreModel): boolean {
  return local?.complete === true && local.manifestDigest === model.manifestDigest;
}

function bytesMissing(local: StoreModel | undefined, model: StoreModel): number {
  return local?.manifestDigest === model.manifestDigest ? local.missingBytes : model.sizeBytes;
}

function byUrgency(models: readonly StoreModel[], required: ReadonlySet<string>): readonly StoreModel[] {
  const rank = (model: StoreModel) => (required.has(caseKey(model.path)) ? 0 : 1);
  return [...models].sort((a, b) => rank(a) - rank(b) || a.sizeBytes - b.sizeBytes || compare(a.path, b.path));
}

function orderFor(model: StoreModel, args: PlanArgs, required: ReadonlySet<string>): FetchModel {
  const from = args.active.node;
  const others = holders(args.peers, model).filter((node) => node !== from);
  const order = { path: model.path, manifestDigest: model.manifestDigest, from, sources: [from, ...others], epoch: args.active.epoch };
  return required.has(caseKey(model.path)) ? { ...order, required: true } : order;
}

/** Nodes that hold exactly this model, complete, in plain order. */
function holders(peers: ReadonlyMap<NodeId, Inventory>, model: StoreModel): readonly NodeId[] {
  return [...peers]
    .filter(([, inventory]) => inventory.refused === null && offers(inventory, model))
    .map(([node]) => node)
    .sort(compare);
}

/**
 * What the active repairs from its peers: blobs of its own models that are missing or corrupt, as long as a peer holds the same manifest
 * complete. Its manifests are never touched: nobody writes to the one writer (S4).
 */
export function planRepair(own: Inventory, peers: ReadonlyMap<NodeId, Inventory>, epoch: number): ReplicationPlan | null {
  if (own.refused !== null) return null;
  const fetch = byPath(own.models).flatMap((model): readonly FetchModel[] => {
    const sources = model.complete || unfit(model) !== null ? [] : holders(peers, model);
    const [from] = sources;
    if (from === undefined) return [];
    return [{ path: model.path, manifestDigest: model.manifestDigest, from, sources, epoch, blobsOnly: true }];
  });
  return fetch.length === 0 ? null : { ...emptyPlan(null), fetch };
}

function offers(inventory: Inventory, model: StoreModel): boolean {
  return inventory.models.some((other) => other.complete && other.manifestDigest === model.manifestDigest);
}

function conflictsIn(behind: readonly StoreModel[], local: ReadonlyMap<ModelPath, StoreModel>): ReplicationPlan['conflicts'] {
  return behind.flatMap((model) => {
    const here = local.get(model.path);
    if (here === undefined || !here.complete || here.manifestDigest === model.manifestDigest) return [];
    return [{ path: model.path, local: here.manifestDigest, active: model.manifestDigest }];
  });
}

function extraOf(own: Inventory, active: Inventory): readonly ModelPath[] {
  const there = new Set(active.models.map((model) => caseKey(model.path)));
  return byPath(own.models)
    .filter((model) => model.complete && !there.has(caseKey(model.path)))
    .map((model) => model.path);
}
