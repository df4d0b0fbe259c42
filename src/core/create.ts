// The composed state before the first turn: what the configuration says, and what earlier processes of this node left on disk.
import type { CoreConfig, SavedState } from './config.ts';
import { withLoss } from './flap.ts';
import { createHealth } from './health/machine.ts';
import { NO_HOT } from './hotset/machine.ts';
import { resumeLease } from './lease/handon.ts';
import { createLease, desiredOf } from './lease/machine.ts';
import { createMembership } from './membership/machine.ts';
import { NO_DELETIONS } from './replication/deletions.ts';
import { NO_SETTINGS } from './settings/types.ts';
import type { CoreState } from './state.ts';
import type { Now } from './types.ts';

/** The state before the first turn. */
export function createCore(config: CoreConfig, now: Now): CoreState {
  const { saved } = config;
  const fresh = createLease(config.self, config.lease, now, config.seed, config.epochOnDisk, saved?.roster ?? null);
  const first = config.handOn == null ? fresh : resumeLease(fresh, config.handOn, now);
  return {
    config,
    lease: first,
    leaseDesired: desiredOf(first, now),
    leaseReason: 'starting',
    membership: createMembership(
      {
        node: config.self.node,
        boot: config.self.boot,
        cluster: config.cluster,
        address: config.address,
        peers: config.peers,
        heartbeatMs: config.heartbeatMs,
        stallMs: config.stallMs,
      },
      now,
      config.seed,
    ),
    health: config.health === null ? null : createHealth(config.health, now),
    verdict: { ollama: 'unknown', reason: 'not asked yet', at: Number.NEGATIVE_INFINITY, version: '', kind: 'unknown', unfit: false },
    hot: NO_HOT,
    wakes: { membership: now.mono, health: now.mono, lease: now.mono },
    stalled: false,
    fence: 'none',
    address: { present: null, since: now.mono },
    granted: 0,
    confirmedOff: false,
    wire: null,
    stranger: null,
    own: null,
    stores: new Map(),
    asked: new Map(),
    plan: null,
    repair: null,
    deletions: NO_DELETIONS,
    planKey: '',
    load: { loopLagMs: 0, load: 0 },
    holder: { node: '', epoch: 0, cause: '', from: '', by: '', phasesMs: {}, since: now.mono },
    pending: [],
    phasesMs: {},
    recordedEpoch: saved?.historyEpoch ?? 0,
    lastYield: null,
    stopping: false,
    cutSince: null,
    stuck: '',
    draining: '',
    open: null,
    settings: saved?.settings ?? NO_SETTINGS,
    ownChange: null,
    waits: [],
    left: false,
    free: false,
    removed: new Map(),
    forced: null,
    handover: null,
    claimed: null,
    losses: lossesOf(saved?.losses ?? [], now),
    missed: 0,
    scheduleWhy: '',
  };
}

function lossesOf(saved: SavedState['losses'], now: Now): CoreState['losses'] {
  let losses: CoreState['losses'] = new Map();
  for (const { node, agoMs } of saved) losses = withLoss(losses, node, now.mono - agoMs);
  return losses;
}
