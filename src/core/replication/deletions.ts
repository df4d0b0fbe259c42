// Which models a standby deletes because the active deleted them. Pure: the active's inventory over time in, orders to remove out.
//
// Rules:
// - A tombstone is a model that this process saw in the active's inventory and then missed there, while the active was heard well all along:
//   same node, same process, same epoch, Ollama up, store not refused. What vanished in a moment of doubt is forgotten, not deleted.
// - A tombstone ripens for `graceMs`; a model that comes back in between has none. A new epoch or process voids them all.
// - Only the very manifest that the active had is removed. What differs here, what is required, and what the selection leaves out stays.
// - One pass removes at most `maxPerPass` models and at most half of this store; the next comes PASS_MS later.
// - A source that lost more than max(3, 30 %) of its models, or all of them, within the window is a fault (S3): an alert, and nothing is
//   removed until the models are back or an operator accepts the loss.
import { caseKey } from './names.ts';
import type { DeletionPolicy, Inventory, ModelPath, RemoveModel, Sha256 } from './types.ts';

/** A model the active gave up. Times are monotonic ms; `orderedAt` -Infinity = not yet, `done` = it is not here any more. */
export type Tombstone = {
  readonly manifestDigest: Sha256;
  readonly at: number;
  readonly orderedAt: number;
  readonly accepted: boolean;
  readonly done: boolean;
};

/** The active's store shrank suddenly: how much of it went, and when. */
export type DeletionAlert = { readonly lost: number; readonly of: number; readonly at: number };

/** Everything the machine remembers. */
export type DeletionState = {
  /** Node, process and epoch that the rest is about; '' = none. */
  readonly source: string;
  /** The inventory that was looked at last. */
  readonly inventory: Inventory | null;
  /** From then on the source counts as well: monotonic ms; Infinity = it is not well now. */
  readonly sureAt: number;
  readonly tombstones: ReadonlyMap<ModelPath, Tombstone>;
  readonly alert: DeletionAlert | null;
  readonly passAt: number;
  readonly orders: readonly RemoveModel[];
};

/** What a step looks at. `source` null: there is nobody to follow, or this node is the active. */
export type DeletionView = {
  readonly source: {
    readonly node: string;
    readonly boot: number;
    readonly epoch: number;
    readonly inventory: Inventory;
    readonly healthy: boolean;
  } | null;
  readonly own: Inventory | null;
  /** True for a model that takes part in replication and may be removed here. */
  readonly mayRemove: (path: ModelPath) => boolean;
};

/** What happened, for the log. */
export type DeletionEvent =
  | { readonly k: 'tombstone'; readonly path: ModelPath }
  | { readonly k: 'alert'; readonly lost: number; readonly of: number }
  | { readonly k: 'recovered' }
  | { readonly k: 'ordered'; readonly path: ModelPath };

/** What a step returns; `state.orders` is what shall be removed now. */
export type DeletionTurn = { readonly state: DeletionState; readonly events: readonly DeletionEvent[] };

/** Pause between two passes, ms. */
export const PASS_MS = 60_000;
/** Word of a model's end travels within this time: what is missed so soon after a moment of doubt may have vanished in it, ms. */
const SURE_MS = 10_000;
/** Losses within this time count as one, ms; `graceMs` when that is longer. */
const SUDDEN_MS = 60_000;
const SUDDEN_MODELS = 3;
const SUDDEN_SHARE = 0.3;

/** Nothing seen, nothing to delete. */
export const NO_DELETIONS: DeletionState = {
  source: '',
  inventory: null,
  sureAt: Number.NEGATIVE_INFINITY,
  tombstones: new Map(),
  alert: null,
  passAt: Number.NEGATIVE_INFINITY,
  orders: [],
};

/** One look. Cheap when nothing changed. `mono` is the monotonic clock, ms. */
export function stepDeletions(state: DeletionState, view: DeletionView, policy: DeletionPolicy, mono: number): DeletionTurn {
  const { source } = view;
  if (!policy.follow || source === null) return { state: state === NO_DELETIONS ? state : NO_DELETIONS, events: [] };
  const key = `${source.node}#${source.boot}/${source.epoch}`;
  const events: DeletionEvent[] = [];
  let next = key === state.source ? state : { ...NO_DELETIONS, source: key };
  const well = source.healthy && source.inventory.refused === null;
  const sureAt = well ? (next.sureAt === Number.POSITIVE_INFINITY ? mono + SURE_MS : next.sureAt) : Number.POSITIVE_INFINITY;
  if (sureAt !== next.sureAt) next = { ...next, sureAt };
  if (source.inventory !== next.inventory) next = look(next, source.inventory, view, policy, mono, events);
  if (next.tombstones.size > 0 || next.orders.length > 0) next = settle(next, view, well, policy, mono, events);
  return { state: next, events };
}

/** Takes the loss for real: every tombstone may be carried out, at the usual pace. */
export function acceptDeletions(state: DeletionState): DeletionState {
  const tombstones = new Map([...state.tombstones].map(([path, stone]) => [path, { ...stone, accepted: true }]));
  return { ...state, tombstones, alert: null };
}

/** Models that wait for their removal, with the time at which they are ripe, monotonic ms. */
export function pendingDeletions(
  state: DeletionState,
  policy: DeletionPolicy,
): readonly { readonly path: ModelPath; readonly dueAt: number }[] {
  return [...state.tombstones].filter(([, stone]) => !stone.done).map(([path, stone]) => ({ path, dueAt: stone.at + policy.graceMs }));
}

function look(
  s: DeletionState,
  inventory: Inventory,
  view: DeletionView,
  policy: DeletionPolicy,
  mono: number,
  events: DeletionEvent[],
): DeletionState {
  const present = new Set(inventory.models.map((model) => model.path));
  const tombstones = new Map([...s.tombstones].filter(([path]) => !present.has(path)));
  const gone = mono >= s.sureAt ? (s.inventory?.models ?? []).filter((model) => !present.has(model.path)) : [];
  for (const { path, manifestDigest } of gone) {
    // One that may stay here counts for the shrink all the same, so it is remembered, as done.
    const done = !removable(view, path, manifestDigest);
    tombstones.set(path, { manifestDigest, at: mono, orderedAt: Number.NEGATIVE_INFINITY, accepted: false, done });
    if (!done) events.push({ k: 'tombstone', path });
  }
  const alert = alertOf(s, tombstones, present.size, gone.length > 0, policy, mono, events);
  return { ...s, inventory, tombstones, alert };
}

function alertOf(
  s: DeletionState,
  tombstones: DeletionState['tombstones'],
  present: number,
  lostMore: boolean,
  policy: DeletionPolicy,
  mono: number,
  events: DeletionEvent[],
): DeletionAlert | null {
  if (s.alert !== null && !lostMore) {
    if ([...tombstones.values()].some((stone) => !stone.accepted)) return s.alert;
    events.push({ k: 'recovered' });
    return null;
  }
  if (!lostMore) return null;
  const since = mono - Math.max(policy.graceMs, SUDDEN_MS);
  const lost = [...tombstones.values()].filter((stone) => !stone.accepted && (s.alert !== null || stone.at > since)).length;
  const of = present + lost;
  const sudden = present === 0 || lost > Math.max(SUDDEN_MODELS, SUDDEN_SHARE * of);
  if (!sudden && s.alert === null) return null;
  events.push({ k: 'alert', lost, of });
  return { lost, of, at: s.alert?.at ?? mono };
}

/** Closes what is done, forgets what is old, and opens the next pass. */
function settle(
  s: DeletionState,
  view: DeletionView,
  well: boolean,
  policy: DeletionPolicy,
  mono: number,
  events: DeletionEvent[],
): DeletionState {
  const tombstones = new Map<ModelPath, Tombstone>();
  let changed = false;
  for (const [path, stone] of s.tombstones) {
    const old = mono - stone.at > Math.max(policy.graceMs, SUDDEN_MS);
    const done = stone.done || !removable(view, path, stone.manifestDigest);
    if (done && old && s.alert === null) changed = true;
    else tombstones.set(path, done === stone.done ? stone : { ...stone, done });
    changed ||= done !== stone.done;
  }
  const kept = s.orders.filter((order) => tombstones.get(order.path)?.done === false);
  const base = changed || kept.length !== s.orders.length ? { ...s, tombstones, orders: kept } : s;
  if (!well || s.alert !== null) return base.orders.length === 0 ? base : { ...base, orders: [] };
  if (mono - s.passAt < PASS_MS) return base;
  const ripe = [...base.tombstones].filter(([, stone]) => !stone.done && mono - stone.at >= policy.graceMs).sort(byTurn);
  if (ripe.length === 0) return base;
  const half = Math.floor((view.own?.models.length ?? 0) / 2);
  const accepted = ripe.every(([, stone]) => stone.accepted);
  const taken = ripe.slice(0, Math.min(policy.maxPerPass, Math.max(accepted ? 1 : 0, half)));
  const epoch = Number(s.source.slice(s.source.lastIndexOf('/') + 1));
  const orders = taken.map(([path, stone]): RemoveModel => ({ path, manifestDigest: stone.manifestDigest, epoch }));
  const marked = new Map(base.tombstones);
  for (const [path, stone] of taken) {
    marked.set(path, { ...stone, orderedAt: mono });
    if (stone.orderedAt === Number.NEGATIVE_INFINITY) events.push({ k: 'ordered', path });
  }
  return { ...base, tombstones: marked, orders, passAt: mono };
}

/** Who was tried longest ago comes first, so that one that cannot be removed does not hold up the rest. */
function byTurn([a, first]: readonly [string, Tombstone], [b, second]: readonly [string, Tombstone]): number {
  if (first.orderedAt !== second.orderedAt) return first.orderedAt < second.orderedAt ? -1 : 1;
  return first.at - second.at || (a < b ? -1 : 1);
}

function removable(view: DeletionView, path: ModelPath, digest: Sha256): boolean {
  const here = view.own?.models.find((model) => caseKey(model.path) === caseKey(path));
  return here !== undefined && here.path === path && here.manifestDigest === digest && view.mayRemove(path);
}
