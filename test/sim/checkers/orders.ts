// Orders: each gets exactly one answer in time, a refusal names its reasons, and a switchover that is called done has landed where it was ordered.
import type { Command, CommandResult } from '../../../src/core/io.ts';
import { fail, type Watch, type World } from '../world.ts';

type Asked = { readonly command: Command; readonly at: number; readonly epoch: number };

// The longest that an order may be waited for: a drain, and the move after it.
const ANSWER_MS_MAX = 13_000;

/** Watches orders (O3, O4). */
export function watchOrders(world: World): Watch {
  const open = world.hosts.map(() => new Map<number, Asked>());
  const heldBy = new Map<string, number>();
  const judge = (node: string, asked: Asked, result: CommandResult) => {
    const { command } = asked;
    if (result.outcome === 'refused' && result.vetoes.length === 0)
      fail(world, 'O3', `${node} refuses ${command.k} without a reason: ${result.text}`);
    if (command.k !== 'switchover' || command.to === '' || result.outcome !== 'done') return;
    // A record that names the new holder may be seen before that node has its acknowledgement, so claims count. What the asked node knew when it
    // was asked is the measure: others may have come and gone since, of whom it has not heard.
    if ((heldBy.get(command.to) ?? 0) <= asked.epoch)
      fail(world, 'O3', `${node} calls the switchover to ${command.to} done, which claimed no epoch after ${asked.epoch}`);
  };
  return {
    name: 'orders',
    started(host) {
      open[host.index]?.clear();
    },
    died(host) {
      open[host.index]?.clear();
    },
    input(host, input, _call, mono) {
      if (input.k === 'command')
        open[host.index]?.set(input.id, { command: input.command, at: mono, epoch: host.agent?.holderEpoch?.() ?? 0 });
    },
    sent(host, { call }) {
      if (call.script === 'cas' && call.mode === 'claim') heldBy.set(host.id, Math.max(heldBy.get(host.id) ?? 0, call.epoch));
    },
    turn(host, turn, mono) {
      if (turn.acting) heldBy.set(host.id, Math.max(heldBy.get(host.id) ?? 0, turn.lease.epoch));
      const asked = open[host.index];
      for (const effect of turn.effects) {
        if (effect.k !== 'commandResult') continue;
        const one = asked?.get(effect.id);
        if (one === undefined) fail(world, 'O4', `${host.id} answers order ${effect.id} again, or was never asked: ${effect.result.text}`);
        else judge(host.id, one, effect.result);
        asked?.delete(effect.id);
      }
      if (asked === undefined || asked.size === 0 || host.stalled) return;
      for (const [id, { command, at }] of asked)
        if (mono - at > ANSWER_MS_MAX)
          return fail(world, 'O4', `${host.id} owes an answer to order ${id} (${command.k}) for ${(mono - at).toFixed(0)} ms`);
    },
  };
}
