// The failures of one Ollama that can be made in a lab: how, by which name they must be found, how soon, and what the role does then.
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { monoMs } from '../../lab/names.ts';
import type { HealthCase } from './case.ts';
import { labHealth } from './lab-health.ts';
import { ask, clear, demand, fault, faulty, setUp, type Users, users } from './patient.ts';
import { slowCases } from './slow-cases.ts';

const canaryLimitMs = labHealth.progress.canaryMs + 5000 + 2500;

const signal = (name: string) => async (_lab: Lab, host: Host) => {
  const at = monoMs();
  await fault(host, '/signal', { model: 'one', signal: name });
  return at;
};
const dangling = (host: Host): string => join(host.plan.dataDir, 'models/manifests/registry.ollama.ai/library/gone');

let open: Users | null = null;

/** All of them, made on the holder unless they say otherwise. */
export const healthCases: readonly HealthCase[] = [
  {
    id: 'runner-frozen',
    kind: 'hung-runner',
    limitMs: 10_000,
    moves: true,
    goal: true,
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
    goal: true,
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
  {
    id: 'idle-hang',
    kind: 'gpu-hang',
    limitMs: canaryLimitMs,
    moves: true,
    goal: true,
    inject: faulty({ hang: 'inference' }),
    heal: clear,
  },
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
    // The active loads again by itself what it lost.
    heal: async () => undefined,
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
  ...slowCases,
  {
    id: 'server-frozen',
    kind: 'server-hung',
    limitMs: 10_000,
    moves: true,
    goal: true,
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
    goal: true,
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
