// An agent that is the whole composed core: gossip, health, lease and the decisions between them.
import type { CoreConfig } from '../../src/core/config.ts';
import type { Input } from '../../src/core/io.ts';
import type { handOnOf } from '../../src/core/lease/handon.ts';
import type { membersOf, tableOf } from '../../src/core/membership/machine.ts';
import { type createCore, guardTickMs, type step } from '../../src/core/step.ts';
import type { Now } from '../../src/core/types.ts';
import { sizeOf } from './size.ts';
import type { AgentFactory, SimTurn, Spawn } from './types.ts';

/** The production core, or a mutant of it. */
export type Core = {
  readonly createCore: typeof createCore;
  readonly step: typeof step;
  readonly tableOf: typeof tableOf;
  readonly membersOf: typeof membersOf;
  readonly handOnOf: typeof handOnOf;
};

function configOf({ self, roster, lease, seed, epochOnDisk, peers, nofailover, saved, handOn }: Spawn): CoreConfig {
  return {
    self,
    cluster: 'sim',
    address: `${self.node}:11440`,
    version: 'sim',
    candidate: true,
    priority: 0,
    nofailover,
    roster,
    peers: peers.map((node) => ({ node, address: `${node}:11440` })),
    lease,
    health: { probeMs: 1000, timeoutMs: 2000, failures: 3, recoveries: 2, startMs: 60_000, required: [] },
    heartbeatMs: 200,
    stallMs: 100,
    vip: lease.fenceRequired ? 'fence-required' : 'fence-preferred',
    replication: { include: [/.*/], exclude: [], required: [] },
    seed,
    epochOnDisk,
    saved,
    handOn,
  };
}

/** Agents around this core. */
export function coreAgents(core: Core): AgentFactory {
  return (spawn) => {
    let state = core.createCore(configOf(spawn), spawn.now);
    const turn = (input: Input, now: Now): SimTurn => {
      const { state: next, effects, desired, wakeAt, reason } = core.step(state, input, now);
      state = next;
      return {
        effects,
        lease: desired.lease,
        acting: desired.vip.on,
        // As the real loop: it looks now and then, whatever the core asks for.
        wakeAt: Math.min(wakeAt, now.mono + guardTickMs(desired)),
        reason,
      };
    };
    return {
      turn,
      size: () => sizeOf(state),
      table: (now) => core.tableOf(state.membership, now),
      members: () => core.membersOf(state.membership),
      settings: () => state.settings,
      roster: () => state.lease.roster?.nodes ?? state.config.roster,
      holderEpoch: () => state.holder.epoch,
      ownerBoot: () => state.lease.self.boot,
      handOn: (now) => core.handOnOf(state.lease, Number.NEGATIVE_INFINITY, now),
    };
  };
}
