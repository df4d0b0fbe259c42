// L2: a token (epoch, me) is never used twice, every claim of a process has a higher epoch than its earlier ones, and the epochs of the holders rise.
import { fail, type Watch, type World } from '../world.ts';

/** Counts what L2 sees, for the report. */
export type Epochs = { elections: number; regressions: number };

/** Watches L2. `elected` hears of every new token. */
export function watchL2(world: World, epochs: Epochs, elected: (index: number) => void): Watch {
  const { hosts, servers } = world;
  const lastClaim: { me: string; epoch: number; sentAt: number }[] = [];
  const past = new Set<string>();
  let currentNode = '';
  let currentBoot = 0;
  let currentEpoch = 0;
  const majority = Math.floor(servers.length / 2) + 1;
  // A majority that kept its data remembers the highest epoch for everybody. Without one, gossip, disks and the wall clock are only a good defence.
  const provable = () => servers.filter((s) => s.losses === 0).length >= majority;
  return {
    name: 'L2',
    sent(host, { call, sentAt }) {
      if (call.script !== 'cas' || call.mode !== 'claim') return;
      const last = lastClaim[host.index];
      // The claims of one round, to several servers, share their epoch and their moment.
      const sameRound = last !== undefined && last.me === call.me && last.epoch === call.epoch && last.sentAt === sentAt;
      if (last !== undefined && last.me === call.me && !sameRound && call.epoch <= last.epoch) {
        fail(world, 'L2', `${host.id} claims epoch ${call.epoch} after ${last.epoch}`);
      }
      lastClaim[host.index] = { me: call.me, epoch: call.epoch, sentAt };
    },
    turn(host, turn) {
      if (!turn.acting || (host.id === currentNode && host.ownerBoot === currentBoot && turn.lease.epoch === currentEpoch)) return;
      const token = `${turn.lease.epoch}/${host.id}#${host.ownerBoot}`;
      if (past.has(token)) fail(world, 'L2', `${host.id} is active again under epoch ${turn.lease.epoch}, after somebody else`);
      if (turn.lease.epoch <= currentEpoch) {
        epochs.regressions += 1;
        if (provable())
          fail(
            world,
            'L2',
            `${host.id} is active under epoch ${turn.lease.epoch} after epoch ${currentEpoch}, although no majority lost data`,
          );
      }
      past.add(token);
      currentNode = host.id;
      currentBoot = host.ownerBoot;
      currentEpoch = turn.lease.epoch;
      epochs.elections += 1;
      elected(hosts.indexOf(host));
    },
  };
}
