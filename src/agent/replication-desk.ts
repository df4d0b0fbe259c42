// Replication of one node as the loop and the operator see it: plan and removals pass the gate, and every order of `agentctl replication`,
// `verify` and `models restore` ends here.

import { alertedNodes, shrankText } from '../core/removals.ts';
import { pendingDeletions } from '../core/replication/deletions.ts';
import { displayName, pathOfName } from '../core/replication/names.ts';
import type { DeletionPolicy, ModelPath, RemoveModel, ReplicationPlan } from '../core/replication/types.ts';
import type { CopyWindow } from '../core/replication/window.ts';
import type { CoreState } from '../core/state.ts';
import { type CommandOutcome, ControlError } from './control.ts';
import type {
  QuarantineRow,
  ReplicationHandlers,
  ReplicationOrder,
  ReplicationView,
  TransferRow,
  VerifyRequest,
  VerifyView,
} from './control-replication.ts';
import type { RemoverPort, ReplicatorPort, TransferProgress } from './ports.ts';
import { createGate } from './replication-gate.ts';
import type { Pause, ReplicatorLog } from './replicator-ports.ts';
import type { ScrubStore } from './scrub.ts';
import { startVerify, type VerifyPass } from './verify.ts';

/** What an operator switched, over restarts. */
export type ReplicationSwitches = { readonly paused: boolean; readonly bytesPerSecondMax: number };

/** The store, seen from the desk. */
export type DeskStore = ScrubStore & {
  readonly rescan: () => Promise<void>;
  readonly quarantined: () => Promise<readonly (Omit<QuarantineRow, 'model'> & { readonly path: ModelPath | '' })[]>;
  readonly emptyQuarantine: (maxAgeMs: number, freeBytes: number) => Promise<readonly { readonly id: string; readonly path: string }[]>;
  /** Gives up blobs that were held for a model so long, but those named. */
  readonly dropHeld: (maxAgeMs: number, keep: ReadonlySet<string>) => Promise<boolean>;
  readonly restoreModel: (
    path: ModelPath,
    as: ModelPath,
  ) => Promise<
    | { readonly k: 'restored' }
    | { readonly k: 'refused'; readonly reason: string; readonly hint: string }
    | { readonly k: 'incomplete'; readonly missing: readonly unknown[] }
  >;
};

/** What the desk is made of. */
export type DeskOptions = {
  readonly node: string;
  readonly store: DeskStore;
  readonly replicator: ReplicatorPort & { readonly retryNow: () => void };
  readonly remover: RemoverPort;
  readonly scrub: { readonly view: () => ReplicationView['scrub']; readonly close: () => void };
  readonly setLimit: (bytesPerSecondMax: number) => void;
  readonly switches: ReplicationSwitches;
  readonly saveSwitches: (switches: ReplicationSwitches) => void;
  readonly window: { readonly text: string; readonly window: CopyWindow | null };
  readonly deletion: DeletionPolicy;
  readonly quarantineMs: number;
  /** The core's newest state, and the monotonic clock of now. */
  readonly core: () => { readonly state: CoreState; readonly monoMs: number };
  readonly acceptDeletes: (by: string) => void;
  readonly minuteOfDay: () => number;
  readonly log: ReplicatorLog;
  readonly pause: Pause;
};

/** The desk: a replicator for the loop, handlers for the operator. */
export type ReplicationDesk = ReplicatorPort & { readonly handlers: ReplicationHandlers };

const EMPTY_EVERY_MS = 60_000;
/** A download on the active that takes longer was given up. */
const HELD_MS = 86_400_000;
const NONE: ReadonlySet<string> = new Set();
const NAMES_MAX = 1000;
/** Peers tell of it with their next heartbeat; one that was lost on the way is told again. */
const ACCEPT_MS = 300;
const ACCEPT_ROUNDS = 10;

/** Opens the desk and begins to keep the quarantine small. */
export function openDesk(options: DeskOptions): ReplicationDesk {
  const { replicator, remover, store, log, core } = options;
  const stop = new AbortController();
  let switches = options.switches;
  const gate = createGate({ window: options.window.window, paused: switches.paused, minuteOfDay: options.minuteOfDay });
  let plan: ReplicationPlan | null = null;
  let pass: (VerifyPass & { readonly id: number; readonly stop: AbortController }) | null = null;
  let passes = 0;

  const change = (next: Partial<ReplicationSwitches>) => {
    switches = { ...switches, ...next };
    options.saveSwitches(switches);
  };

  async function empty(): Promise<void> {
    while (!stop.signal.aborted) {
      const gone = await store.emptyQuarantine(options.quarantineMs, 0).catch(() => []);
      await store.dropHeld(HELD_MS, NONE).catch(() => false);
      for (const { id, path } of gone) log('info', 'quarantine_emptied', `${id} is gone for good`, { id, path });
      await options.pause(EMPTY_EVERY_MS, stop.signal).catch(() => undefined);
    }
  }
  void empty();

  async function order({ action, by, bytesPerSecondMax }: ReplicationOrder): Promise<CommandOutcome> {
    log('info', 'replication_order', `replication ${action} by ${by}`, { by, action });
    switch (action) {
      case 'pause':
      case 'resume':
        gate.pause(action === 'pause');
        change({ paused: action === 'pause' });
        return done(action === 'pause' ? 'nothing is copied or deleted here until agentctl replication resume' : 'copying goes on');
      case 'limit':
        options.setLimit(bytesPerSecondMax);
        change({ bytesPerSecondMax });
        return done(bytesPerSecondMax === 0 ? 'no limit' : `at most ${bytesPerSecondMax} bytes per second`);
      case 'now':
        if (gate.paused()) throw new ControlError('refused', 'replication is paused here', 'agentctl replication resume');
        gate.openOnce();
        await store.rescan();
        replicator.retryNow();
        return done(
          plan === null || plan.fetch.length === 0 ? 'nothing is behind' : `${plan.fetch.length} models are behind and copied now`,
        );
      case 'accept-deletes':
        return acceptDeletes(by);
    }
  }

  /** On every node that waits for it; done when none of them waits any more. */
  async function acceptDeletes(by: string): Promise<CommandOutcome> {
    const asked = alertedNodes(core().state);
    if (asked.length === 0) return { ...done('no node has a loss to accept'), outcome: 'nothing' };
    let waiting = asked;
    for (let round = 0; waiting.length > 0 && round < ACCEPT_ROUNDS; round += 1) {
      options.acceptDeletes(by);
      await options.pause(ACCEPT_MS, stop.signal);
      waiting = alertedNodes(core().state).filter((node) => asked.includes(node));
    }
    const accepted = asked.filter((node) => !waiting.includes(node)).join(', ');
    const text = 'the models are removed there at the usual pace, and kept in the quarantine for a while';
    if (waiting.length === 0) return done(`the loss is accepted on ${accepted}; ${text}`);
    const missing = `${waiting.join(', ')} did not confirm`;
    return { ...done(accepted === '' ? missing : `accepted on ${accepted}, but ${missing}`), outcome: 'incomplete' };
  }

  function verify({ id, models, repair, by }: VerifyRequest): VerifyView {
    if (id !== 0) {
      if (pass?.id !== id)
        throw new ControlError('not_found', `no pass ${id} is known`, 'a newer agentctl verify took its place, or the agent restarted');
      return pass.view();
    }
    if (models.length > NAMES_MAX) throw new ControlError('invalid', 'too many names', 'leave the names away to verify everything');
    const paths = models.length === 0 ? null : new Set(models.map(pathOf));
    const here = new Set((core().state.own?.models ?? []).map((model) => model.path));
    for (const path of paths ?? [])
      if (!here.has(path)) throw new ControlError('not_found', `${displayName(path)} is not here`, 'agentctl models shows what is');
    pass?.stop.abort();
    passes += 1;
    const ends = new AbortController();
    const signal = AbortSignal.any([stop.signal, ends.signal]);
    const fetching = () => new Set((gate.paused() ? [] : (plan?.fetch ?? [])).map((one) => one.path));
    log('info', 'verify', `${paths === null ? 'all models are' : `${paths.size} models are`} read anew, asked by ${by}`, { by });
    pass = {
      id: passes,
      stop: ends,
      ...startVerify({ store, fetching, log, pause: options.pause }, { id: passes, paths, repair, signal }),
    };
    return pass.view();
  }

  async function restore(model: string, as: string, by: string): Promise<CommandOutcome> {
    const path = pathOf(model);
    const result = await store.restoreModel(path, as === '' ? path : pathOf(as));
    if (result.k === 'refused') throw new ControlError('refused', result.reason, result.hint);
    if (result.k === 'incomplete') {
      const text = `${result.missing.length} blobs of ${displayName(path)} are neither here nor kept, or are damaged`;
      throw new ControlError('refused', text, 'pull it on the active');
    }
    log('info', 'model_restored', `${displayName(path)} was restored by ${by}`, { path, by });
    return done(`${displayName(as === '' ? path : pathOf(as))} is back, every blob verified`);
  }

  async function state(): Promise<ReplicationView> {
    const { state: s, monoMs } = core();
    const kept = await store.quarantined();
    const { alert } = s.deletions;
    return {
      node: options.node,
      source: s.plan === null ? '' : s.holder.node,
      paused: gate.paused(),
      window: options.window.text,
      windowOpen: gate.windowOpen(),
      bytesPerSecondMax: switches.bytesPerSecondMax,
      blocked: s.plan?.blocked ?? '',
      modelsComplete: s.plan?.modelsComplete ?? 0,
      modelsTotal: s.plan?.modelsTotal ?? 0,
      bytesBehind: s.plan?.bytesBehind ?? 0,
      transfers: replicator.progress().map(rowOf),
      deletes: pendingDeletions(s.deletions, options.deletion).map(({ path, dueAt }) => ({
        model: displayName(path),
        dueInMs: Math.max(0, Math.round(dueAt - monoMs)),
      })),
      alert: alert === null ? '' : shrankText(alert),
      quarantine: kept.map(({ id, kind, path, atMs, heldBytes }) => ({
        id,
        kind,
        atMs,
        heldBytes,
        model: path === '' ? '' : displayName(path),
      })),
      scrub: options.scrub.view(),
      conflicts: (s.plan?.conflicts ?? []).map(({ path }) => displayName(path)),
      extra: (s.plan?.extra ?? []).map(displayName),
    };
  }

  return {
    apply: (next, remove = NO_ORDERS) => {
      plan = next;
      replicator.apply(gate.pass(next));
      remover.apply(gate.paused() ? NO_ORDERS : remove);
    },
    progress: replicator.progress,
    close: async () => {
      stop.abort();
      options.scrub.close();
      await Promise.all([replicator.close(), remover.close()]);
    },
    handlers: {
      state,
      order,
      verify: async (request) => verify(request),
      restore: async ({ model, as, by }) => restore(model, as, by),
    },
  };
}

const NO_ORDERS: readonly RemoveModel[] = [];

function done(text: string): CommandOutcome {
  return { outcome: 'done', text, vetoes: [], epoch: 0, phasesMs: {} };
}

function pathOf(name: string): ModelPath {
  const path = pathOfName(name);
  if (path === null)
    throw new ControlError('invalid', `${JSON.stringify(name.slice(0, 80))} is not a model name`, 'names look like llama3.2:latest');
  return path;
}

function rowOf({ path, from, doneBytes, totalBytes, bytesPerSecond, phase, note }: TransferProgress): TransferRow {
  const left = Math.max(0, totalBytes - doneBytes);
  const etaMs = bytesPerSecond > 0 && phase === 'blobs' ? Math.round((left * 1000) / bytesPerSecond) : -1;
  return { model: displayName(path), from, doneBytes, totalBytes, bytesPerSecond, phase, note, etaMs };
}
