// Faults of the Redis servers and of wall clocks. No clock and no data of Redis is trusted: most of these must not be felt at all.

import { monoMs } from '../../lab/names.ts';
import { flushAll, stepRedisClocks } from './prepared.ts';
import type { FaultCase, Scene } from './scene.ts';
import { fastReleaseMs } from './timing.ts';

const hourMs = 3_600_000;

/** The managed Redis servers of all hosts, frozen or killed at once. */
async function allRedis(scene: Scene, act: 'kill' | 'freeze'): Promise<number> {
  const at = monoMs();
  await Promise.all(scene.lab.hosts.map((host) => host.service('redis')[act]()));
  return at;
}

async function cutAll(scene: Scene, down: boolean): Promise<void> {
  await Promise.all(scene.lab.hosts.map((host) => scene.lab.cut(host, down ? { redisDown: true } : {})));
}

/** The faults. */
export const storeCases: readonly FaultCase[] = [
  {
    name: 'redis-all-down',
    about: 'no Redis at all for 60 s (calls are refused, the servers killed), then empty ones: the members keep the holder',
    lab: 'plain',
    from: 'first failure',
    role: 'stays',
    bound: () => 0,
    once: true,
    inject: async (scene) => {
      const at = monoMs();
      await cutAll(scene, true);
      await allRedis(scene, 'kill');
      return at;
    },
    lastsMs: (scene) => (scene.short ? 5000 : 60_000),
    heal: (scene) => cutAll(scene, false),
  },
  {
    name: 'redis-restart-empty',
    about: 'kill -9 of every Redis; the agents start empty ones',
    lab: 'plain',
    from: 'first failure',
    role: 'stays',
    bound: () => 0,
    inject: (scene) => allRedis(scene, 'kill'),
    lastsMs: (scene) => 3 * scene.timing.ttlMs,
  },
  {
    name: 'redis-frozen',
    about: 'SIGSTOP of every Redis for 10 s: they accept and never answer',
    lab: 'plain',
    from: 'first failure',
    role: 'stays',
    bound: () => 0,
    inject: (scene) => allRedis(scene, 'freeze'),
    lastsMs: (scene) => (scene.short ? 3000 : 10_000),
    heal: async (scene) => void (await Promise.all(scene.lab.hosts.map((host) => host.service('redis').thaw()))),
  },
  {
    name: 'redis-flushall',
    about: 'FLUSHALL on every Redis',
    lab: 'prepared',
    from: 'first failure',
    role: 'stays',
    bound: () => 0,
    inject: (scene) => flushAll(scene.lab),
    lastsMs: (scene) => 2 * scene.timing.ttlMs,
  },
  {
    name: 'clock-step',
    about: 'wall clock of the holder +1 h: one clean hand-over',
    lab: 'prepared',
    from: 'first failure',
    role: 'moves',
    bound: () => fastReleaseMs,
    inject: async (scene) => scene.lab.clockStep(scene.holder, hourMs),
    lastsMs: (scene) => 2 * scene.timing.ttlMs,
    reset: async (scene) => void scene.lab.clockStep(scene.holder, 0),
  },
  {
    name: 'clock-step-back',
    about: 'wall clock of the holder -1 h: no effect',
    lab: 'prepared',
    from: 'first failure',
    role: 'stays',
    bound: () => 0,
    inject: async (scene) => scene.lab.clockStep(scene.holder, -hourMs),
    lastsMs: (scene) => 2 * scene.timing.ttlMs,
    // A step forward for the holder: it hands over, and the next run must not begin before it has.
    reset: async (scene) => {
      scene.lab.clockStep(scene.holder, 0);
      await scene.moved();
    },
  },
  {
    name: 'clock-step-standby',
    about: 'wall clock of a standby +1 h, then back: no effect',
    lab: 'prepared',
    from: 'first failure',
    role: 'stays',
    bound: () => 0,
    inject: async (scene) => scene.lab.clockStep(standbyOf(scene), hourMs),
    lastsMs: (scene) => 2 * scene.timing.ttlMs,
    heal: async (scene) => void scene.lab.clockStep(standbyOf(scene), 0),
  },
  {
    name: 'clock-step-redis',
    about: 'wall clock of every Redis +1 h, then back: no effect',
    lab: 'prepared',
    from: 'first failure',
    role: 'stays',
    bound: () => 0,
    inject: (scene) => stepRedisClocks(scene.lab, hourMs),
    lastsMs: (scene) => 2 * scene.timing.ttlMs,
    heal: async (scene) => void (await stepRedisClocks(scene.lab, 0)),
  },
];

function standbyOf(scene: Scene) {
  const [first] = scene.others;
  if (first === undefined) throw new Error(`${scene.holder.name} is alone`);
  return first;
}
