// L5: a record changes only by a nonce that this server has never seen before.
import { fail, type Watch, type World } from '../world.ts';

/** Watches L5. */
export function watchL5(world: World): Watch {
  // Nonces are `<owner>:<counter>` by the facts; a counter that only grows proves that none repeats. Zombies arrive late, so the senders are watched.
  const newest = world.hosts.map(() => new Float64Array(world.servers.length));
  const prefix = world.hosts.map(() => '');
  return {
    name: 'L5',
    started(host) {
      newest[host.index]?.fill(-1);
      prefix[host.index] = `${host.id}#${host.boot}:`;
    },
    sent(host, { server, call: { nonce } }) {
      const last = newest[host.index];
      const owner = prefix[host.index] ?? '';
      if (last === undefined) return;
      const counter = nonce.startsWith(owner) ? Number(nonce.slice(owner.length)) : Number.NaN;
      if (!Number.isSafeInteger(counter) || counter <= (last[server] ?? -1)) {
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
