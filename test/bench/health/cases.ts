// The failures of one Ollama that can be made in a lab: how, by which name they must be found, how soon, and what the role does then.
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { monoMs } from '../../lab/names.ts';
import { request } from '../../lab/request.ts';
import { ask, fault, setUp, type Users, users } from './patient.ts';

/** A failure. */
export type HealthCase = {
  readonly id: string;
  /** The name of the verdict. */
  readonly kind: string;
  /** Longest time until it is named, ms; null = measured only. */
  readonly limitMs: number;
  readonly moves: boolean;
  /** Makes it on this host; the moment, monotonic ms. */
  inject(lab: Lab, host: Host): Promise<number>;
  heal(lab: Lab, host: Host): Promise<void>;
};

/** Timing of health in these labs: the periods that only cost time are shorter than by default, the limits of hangs are the defaults. */
export const labHealth = {
  listBrokenMs: 3000,
  listEveryMs: 1000,
  loadStuckMs: 4000,
  hostEveryMs: 1000,
  progress: { canaryMs: 4000, firstTokenMs: 6000 },
  crash: { windowMs: 20_000, holdMs: 8000 },
  remedies: { unloadBlocker: { enabled: true } },
};
const canaryLimitMs = labHealth.progress.canaryMs + 5000 + 2500;

const clear = async (_lab: Lab, host: Host): Promise<void> => {
  await fault(host, '/clear', {});
  await setUp(host);
};
const signal = (name: string) => async (_lab: Lab, host: Host) => {
  const at = monoMs();
  await fault(host, '/signal', { model: 'one', signal: name });
  return at;
};
const faulty = (what: object) => async (_lab: Lab, host: Host) => {
  const at = monoMs();
  await fault(host, '/fault', what);
  return at;
};
const dangling = (host: Host): string => join(host.plan.dataDir, 'models/manifests/registry.ollama.ai/library/gone');

let open: Users | null = null;

/** One request of a user, whose end nobody waits for. */
const demand = (host: Host, model: string): void => {
  void request(
    host.exec,
    'POST',
    'http://127.0.0.1:11434/api/generate',
    { model, prompt: 'x', stream: false, keep_alive: 1 },
    30_000,
  ).catch(() => undefined);
};

/** All of them. The holder is the host they are made on. */
export const healthCases: readonly HealthCase[] = [
  {
    id: 'runner-frozen',
    kind: 'hung-runner',
    limitMs: 10_000,
    moves: true,
    inject: signal('SIGSTOP'),
    heal: async (lab, host) => {
      await signal('SIGCONT')(lab, host);
      await clear(lab, host);
    },
  },
  {
    id: 'stream-stops',
    kind: 'stalled-stream',
    limitMs: 10_000,
    moves: true,
    inject: async (lab, host) => {
      await fault(host, '/fault', { runnerStallAfterTokens: 1 });
      open = users(lab, host.address, 'one');
      await open.first;
      return monoMs();
    },
    heal: async (lab, host) => {
      await open?.end();
      await clear(lab, host);
    },
  },
  { id: 'idle-hang', kind: 'gpu-hang', limitMs: canaryLimitMs, moves: true, inject: faulty({ hang: 'inference' }), heal: clear },
  { id: 'gpu-lost', kind: 'gpu-lost', limitMs: 4000, moves: true, inject: faulty({ vramRatio: 0 }), heal: clear },
  {
    id: 'list-broken',
    kind: 'list-broken',
    limitMs: labHealth.listBrokenMs + 3000,
    moves: true,
    inject: async (_lab, host) => {
      const at = monoMs();
      mkdirSync(dangling(host), { recursive: true });
      symlinkSync('/nowhere/at/all', join(dangling(host), 'latest'));
      return at;
    },
    heal: async (lab, host) => {
      rmSync(dangling(host), { recursive: true, force: true });
      await clear(lab, host);
    },
  },
  { id: 'runner-5xx', kind: 'runner-errors', limitMs: canaryLimitMs, moves: true, inject: faulty({ failAfterTokens: 0 }), heal: clear },
  {
    id: 'load-deadlock',
    kind: 'scheduler-deadlock',
    limitMs: labHealth.progress.firstTokenMs + 4000,
    moves: true,
    inject: async (_lab, host) => {
      await fault(host, '/fault', { wedge: true });
      const at = monoMs();
      demand(host, 'three');
      return at;
    },
    heal: clear,
  },
  { id: 'idle-runner-killed', kind: 'runner-dead', limitMs: 8000, moves: false, inject: signal('SIGKILL'), heal: clear },
  {
    id: 'hot-set-expired',
    kind: 'hot-set-lost',
    limitMs: 4000,
    moves: false,
    inject: async (_lab, host) => {
      const at = monoMs();
      await fault(host, '/expire', {});
      return at;
    },
    heal: clear,
  },
  {
    id: 'load-out-of-memory',
    kind: 'hot-set-lost',
    limitMs: 4000,
    moves: false,
    inject: async (_lab, host) => {
      await fault(host, '/fault', { loadError: 'cudaMalloc failed: out of memory' });
      const at = monoMs();
      demand(host, 'three');
      return at;
    },
    heal: clear,
  },
  {
    id: 'server-frozen',
    kind: 'server-hung',
    limitMs: 10_000,
    moves: true,
    inject: (_lab, host) => host.service('ollama').freeze(),
    heal: async (lab, host) => {
      await host.service('ollama').thaw();
      await clear(lab, host);
    },
  },
  {
    id: 'server-killed',
    kind: 'process-dead',
    limitMs: 300,
    moves: true,
    inject: (_lab, host) => host.service('ollama').kill(),
    heal: async (_lab, host) => {
      await ask(host, 'up');
      await setUp(host);
    },
  },
  {
    id: 'server-crash-loop',
    kind: 'crash-loop',
    limitMs: 20_000,
    moves: true,
    inject: async (_lab, host) => {
      const at = await host.service('ollama').kill();
      for (let n = 2; n <= 3; n += 1) {
        await ask(host, 'down');
        await ask(host, 'up');
        await host.service('ollama').kill();
      }
      return at;
    },
    heal: async (_lab, host) => {
      await ask(host, 'up');
      await setUp(host);
    },
  },
];
