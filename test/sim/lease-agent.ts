// An agent that is nothing but the lease machine: quick, for most seeds. Gossip comes as hints of the world.
import type { Effect, Input, PeerMessage } from '../../src/core/io.ts';
import type { createLease, stepLease } from '../../src/core/lease/machine.ts';
import type { LeaseEffect, LeaseInput } from '../../src/core/lease/types.ts';
import type { NodeId, Now } from '../../src/core/types.ts';
import { sizeOf } from './size.ts';
import type { AgentFactory, SimTurn, Spawn } from './types.ts';

/** The two functions of the production machine, or of a mutant of it. */
export type LeaseMachine = { readonly createLease: typeof createLease; readonly stepLease: typeof stepLease };

function fromPeer(from: NodeId, msg: PeerMessage): LeaseInput {
  switch (msg.k) {
    case 'stepDown':
    case 'handover':
      return { k: msg.k, from, boot: msg.boot, epoch: msg.epoch };
    case 'failsafeRequest': {
      const { boot, epoch, ttlMs, lockDelayMs, round } = msg;
      return { k: 'failsafeRequest', from, boot, epoch, ttlMs, lockDelayMs, round };
    }
    case 'failsafeReply':
      return { k: 'failsafeReply', from, epoch: msg.epoch, round: msg.round, verdict: msg.verdict };
    default:
      return { k: 'tick' };
  }
}

function toEffects(effects: readonly LeaseEffect[], spawn: Spawn): readonly Effect[] {
  const { boot, node } = spawn.self;
  const out: Effect[] = [];
  for (const effect of effects) {
    switch (effect.k) {
      case 'redis':
      case 'persistEpoch':
        out.push(effect);
        break;
      case 'failsafe': {
        const { to, epoch, ttlMs, lockDelayMs, round } = effect;
        out.push({ k: 'send', to, msg: { k: 'failsafeRequest', boot, epoch, ttlMs, lockDelayMs, round } });
        break;
      }
      case 'failsafeReply': {
        const { to, epoch, round, verdict, nackEpoch } = effect;
        out.push({ k: 'send', to, msg: { k: 'failsafeReply', epoch, round, verdict, nackEpoch } });
        break;
      }
      case 'handover':
        out.push({ k: 'send', to: effect.to, msg: { k: 'handover', boot, epoch: effect.epoch } });
        break;
      case 'stepDown':
        for (const to of spawn.roster) if (to !== node) out.push({ k: 'send', to, msg: { k: 'stepDown', boot, epoch: effect.epoch } });
        break;
      case 'event':
        out.push({ k: 'log', level: 'info', event: effect.event.k, text: '', fields: {} });
        break;
    }
  }
  return out;
}

const NOTHING: readonly Effect[] = [];

/** Agents around this machine. */
export function leaseAgents(machine: LeaseMachine): AgentFactory {
  return (spawn) => {
    const { hints, lease, roster, self } = spawn;
    let state = machine.createLease(self, lease, spawn.now, spawn.seed, spawn.epochOnDisk);
    let { fence } = spawn;
    const translate = (input: Input): LeaseInput => {
      switch (input.k) {
        case 'tick':
        case 'reply':
        case 'fail':
          return input;
        case 'peer':
          return fromPeer(input.from, input.msg);
        case 'fence': {
          const had = fence;
          fence = input.kind === 'nft';
          return had && !fence ? { k: 'fenceLost' } : { k: 'tick' };
        }
        case 'ended':
          return { k: 'ended', epoch: input.epoch };
        case 'command':
          return input.command.k === 'switchover' ? { k: 'yield', heir: input.command.to, cause: 'planned' } : { k: 'tick' };
        default:
          return { k: 'tick' };
      }
    };
    const turn = (input: Input, now: Now): SimTurn => {
      const fact = translate(input);
      const context = {
        veto: lease.fenceRequired && !fence ? 'no fence' : null,
        rank: hints.rank,
        suspicious: hints.suspicious,
        fence,
        roster,
        rosterVersion: 1,
        address: self.node,
        gossipEpoch: hints.gossipEpoch,
        stalled: hints.stalled,
      };
      const { state: next, effects, desired, wakeAt, reason } = machine.stepLease(state, fact, context, now);
      state = next;
      return {
        effects: effects.length === 0 ? NOTHING : toEffects(effects, spawn),
        lease: desired,
        acting: desired.acting,
        wakeAt,
        reason,
      };
    };
    return { turn, size: () => sizeOf(state) };
  };
}
