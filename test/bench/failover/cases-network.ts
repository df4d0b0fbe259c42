// Faults of the network: cables, switches, cuts between some, loss.
import { setTimeout as delay } from 'node:timers/promises';
import type { Cut } from '../../lab/filter.ts';
import type { FaultCase, Scene } from './scene.ts';
import { fastReleaseMs } from './timing.ts';

const cut = (what: Cut) => (scene: Scene) => scene.lab.cut(scene.holder, what);
const mend = async (scene: Scene): Promise<void> => void (await scene.lab.cut(scene.holder, {}));

/** The faults. */
export const networkCases: readonly FaultCase[] = [
  {
    name: 'link-cut',
    about: 'cable out (the host sees its carrier go), in again after another serves',
    lab: 'plain',
    from: 'fault',
    role: 'moves',
    bound: (t) => t.newMs,
    inject: (scene) => scene.lab.linkDown(scene.holder),
    heal: async (scene) => void (await scene.lab.linkUp(scene.holder)),
  },
  {
    name: 'cut-healed',
    about: 'nothing passes the switch port of the holder until another serves; counted from the moment it passes again',
    lab: 'plain',
    from: 'fault',
    role: 'moves',
    bound: () => fastReleaseMs,
    inject: async (scene) => {
      await scene.lab.shutPort(scene.holder);
      await scene.moved();
      await delay(2000);
      return scene.lab.openPort(scene.holder);
    },
    lastsMs: (scene) => (scene.short ? 2000 : 12_000),
  },
  {
    name: 'redis-cut',
    about: 'the holder alone is cut from Redis: kept by failsafe, then switched over',
    lab: 'plain',
    from: 'first failure',
    role: 'moves',
    bound: () => fastReleaseMs,
    inject: cut({ redis: true }),
    heal: mend,
  },
  {
    name: 'redis-and-peers-cut',
    about: 'the holder is cut from Redis and every peer, VRRP included; clients still reach it',
    lab: 'plain',
    from: 'fault',
    role: 'moves',
    bound: (t) => t.newMs,
    inject: cut({ redis: true, redisServer: true, peers: true, vrrp: true }),
    heal: mend,
  },
  {
    name: 'peers-cut',
    about: 'the holder is cut from its peers only: gossip decides nothing',
    lab: 'plain',
    from: 'first failure',
    role: 'stays',
    bound: () => 0,
    inject: cut({ peers: true }),
    lastsMs: (scene) => 2 * scene.timing.ttlMs,
    heal: mend,
  },
  {
    name: 'vrrp-cut-healed',
    about: 'protocol 112 of the holder is cut, the lease moves, the cut is healed',
    lab: 'plain',
    from: 'first failure',
    role: 'moves',
    bound: () => fastReleaseMs,
    inject: async (scene) => {
      const at = await cut({ vrrp: true })(scene);
      await scene.switchover();
      return at;
    },
    lastsMs: () => 2000,
    heal: mend,
  },
  {
    name: 'loss30',
    about: '30 % of the packets between the holder and its peers (Redis, gossip, VRRP) are lost for 10 s',
    lab: 'plain',
    from: 'first failure',
    role: 'may move',
    bound: (t) => 3 * t.newMs,
    inject: (scene) => scene.lab.cut(scene.holder, { lossPercent: 30, lossHosts: scene.others.map((host) => host.address) }),
    lastsMs: (scene) => (scene.short ? 3000 : 10_000),
    heal: mend,
  },
];
