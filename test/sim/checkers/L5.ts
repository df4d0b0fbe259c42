// L5: a record changes only by a nonce that this server has never seen before.
import { fail, type Watch, type World } from '../world.ts';

/** The number behind the owner in a nonce; NaN = it is not one. Digit by digit: this runs for every command. */
function counterOf(nonce: string, owner: string): number {
  if (nonce.length === owner.length || !nonce.startsWith(owner)) return Number.NaN;
  let value = 0;
  for (let i = owner.length; i < nonce.length; i++) {
    const digit = nonce.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = 10 * value + digit;
  }
  return value;
}

/** Watches L5. */
export function watchL5(world: World): Watch {
  // Nonces are `<owner>:<counter>` by the facts; a counter that only grows proves that none repeats. Zombies arrive late, so the senders are watched.
  const newest = world.hosts.map(() => new Float64Array(world.servers.length));
  const prefix = world.hosts.map(() => '');
  return {
    name: 'L5',
    started(host) {
      // The counter of a lease that was handed on goes on.
      if (host.ownerBoot === host.boot) newest[host.index]?.fill(-1);
      prefix[host.index] = `${host.id}#${host.ownerBoot}:`;
    },
    sent(host, { server, call: { nonce } }) {
      const last = newest[host.index];
      const owner = prefix[host.index] ?? '';
      if (last === undefined) return;
      const counter = counterOf(nonce, owner);
      if (!(counter >= 0) || counter <= (last[server] ?? -1)) {
        fail(world, 'L5', `${host.id} sends server ${server} the nonce ${nonce} after counter ${last[server]}`);
      }
      last[server] = counter;
    },
    written(server, call, before) {
      if (server.model.snap.n !== call.nonce || before.n === call.nonce) {
        fail(world, 'L5', `server ${server.index} changed its record without a new nonce by ${call.script} ${call.nonce}`);
      }
    },
  };
}
