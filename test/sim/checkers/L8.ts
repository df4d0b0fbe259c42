// L8: no change of holder while the holder and a majority of the servers are healthy, whatever gossip says. Applies to healthy runs.
import { fail, type Watch, type World } from '../world.ts';

/** Watches L8. */
export function watchL8(world: World): Watch {
  let first = '';
  return {
    name: 'L8',
    turn(host, turn) {
      const token = `${host.id}/${turn.lease.epoch}`;
      if (turn.acting && first === '') first = token;
      if (turn.acting && token !== first) fail(world, 'L8', `${token} follows ${first}, which was healthy all the time`);
      if (!turn.acting && host.turn?.acting === true) fail(world, 'L8', `${first} stops acting although it is healthy: ${turn.reason}`);
    },
  };
}
