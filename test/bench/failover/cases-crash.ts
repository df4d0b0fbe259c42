// Faults of processes and hosts: killed, frozen, gone.
import { setTimeout as delay } from 'node:timers/promises';
import { monoMs } from '../../lab/names.ts';
import { signal } from '../../lab/teardown.ts';
import type { FaultCase, Scene } from './scene.ts';
import { fastReleaseMs } from './timing.ts';

const freeze = (service: string) => (scene: Scene) => scene.holder.service(service).freeze();
const thaw = (service: string) => (scene: Scene) => scene.holder.service(service).thaw();

/** The faults. */
export const crashCases: readonly FaultCase[] = [
  {
    name: 'switchover',
    about: 'planned move by agentctl',
    lab: 'plain',
    from: 'first failure',
    role: 'moves',
    bound: () => fastReleaseMs,
    inject: async (scene) => {
      const at = monoMs();
      await scene.switchover();
      return at;
    },
  },
  {
    name: 'ollama-kill',
    about: 'kill -9 of Ollama; its service manager restarts it after 3 s',
    lab: 'plain',
    from: 'fault',
    role: 'moves',
    bound: () => fastReleaseMs,
    inject: (scene) => scene.holder.service('ollama').kill(),
    lastsMs: () => 3500,
  },
  {
    name: 'ollama-hang',
    about: 'Ollama accepts and never answers (SIGSTOP)',
    lab: 'plain',
    from: 'fault',
    role: 'moves',
    bound: () => 12_000,
    inject: freeze('ollama'),
    heal: thaw('ollama'),
  },
  {
    name: 'agent-kill',
    about: 'kill -9 of the agent; the service manager fences, releases and restarts',
    lab: 'plain',
    from: 'fault',
    role: 'may move',
    bound: () => fastReleaseMs,
    inject: (scene) => scene.holder.service('agent').kill(),
  },
  {
    name: 'agent-frozen',
    about: 'SIGSTOP of the agent until another serves, then SIGCONT',
    lab: 'plain',
    from: 'fault',
    role: 'moves',
    bound: (t) => t.newMs,
    inject: freeze('agent'),
    heal: thaw('agent'),
  },
  {
    name: 'keepalived-frozen',
    about: 'SIGSTOP of keepalived, the lease moved meanwhile, SIGCONT after 3 s',
    lab: 'plain',
    from: 'first failure',
    role: 'moves',
    bound: (t) => t.newMs,
    inject: async (scene) => {
      const at = await scene.holder.service('keepalived').freeze();
      await delay(500);
      await scene.switchover();
      return at;
    },
    lastsMs: () => 3000,
    heal: thaw('keepalived'),
  },
  {
    name: 'agent-and-keepalived-frozen',
    about: 'SIGSTOP of both until another serves, then SIGCONT',
    lab: 'plain',
    from: 'fault',
    role: 'moves',
    bound: (t) => t.newMs,
    inject: async (scene) => {
      const at = await scene.holder.service('agent').freeze();
      await scene.holder.service('keepalived').freeze();
      return at;
    },
    heal: async (scene) => {
      await scene.holder.service('keepalived').thaw();
      await scene.holder.service('agent').thaw();
    },
  },
  {
    name: 'keepalived-kill',
    about: 'kill -9 of both keepalived processes; the service manager restarts them',
    lab: 'plain',
    from: 'fault',
    role: 'may move',
    bound: (t) => t.backMs,
    inject: (scene) => scene.holder.service('keepalived').kill(),
  },
  {
    name: 'keepalived-child-kill',
    about: 'kill -9 of the VRRP child; its parent starts another',
    lab: 'plain',
    from: 'fault',
    role: 'may move',
    bound: (t) => t.newMs,
    inject: async (scene) => {
      const [, child] = await scene.holder.service('keepalived').pids();
      if (child === undefined) throw new Error(`${scene.holder.name}: keepalived has no child`);
      const at = monoMs();
      signal(child, 'SIGKILL');
      return at;
    },
  },
  {
    name: 'host-dead',
    about: 'cable out and kill -9 of everything; the host boots again afterwards',
    lab: 'plain',
    from: 'fault',
    role: 'moves',
    bound: (t) => t.newMs,
    inject: (scene) => scene.lab.killHost(scene.holder),
    heal: (scene) => scene.lab.reviveHost(scene.holder),
  },
];
