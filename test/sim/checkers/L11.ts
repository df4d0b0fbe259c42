// L11: memory is bounded: what an agent's state holds does not grow with time.
import { fail, type Watch, type World } from '../world.ts';

const BASE = 2000;
const PER_AGENT = 400;

/** Watches L11. */
export function watchL11(world: World): Watch {
  const most = BASE + PER_AGENT * world.hosts.length;
  return {
    name: 'L11',
    sample(host) {
      const size = host.agent?.size() ?? 0;
      if (size > most) fail(world, 'L11', `${host.id} holds ${size} values, more than ${most}`);
    },
  };
}
