// Failures that leave Ollama serving, only not as it could: loads that fail or drag on, memory that is short, models that do not leave, and a
// version that is not the others'.
import { join } from 'node:path';
import { must } from '../../lab/command.ts';
import type { Host } from '../../lab/host.ts';
import { monoMs } from '../../lab/names.ts';
import type { HealthCase } from './case.ts';
import { labHealth } from './lab-health.ts';
import { clear, demand, fault, faulty, generate, setUp } from './patient.ts';

const storeOf = (host: Host): string => join(host.plan.dataDir, 'models');

const leave = (host: Host, model: string): Promise<unknown> => generate(host, { model, keep_alive: 0 });

/** The model leaves while the fault stands; on a standby its hot set then asks for it again. */
const faultyAndGone = (what: object) => async (_lab: unknown, host: Host) => {
  await fault(host, '/fault', what);
  const at = monoMs();
  await leave(host, 'two');
  return at;
};

const incompatible =
  'unsupported model: this model may be incompatible with your version of Ollama. If you previously pulled this model, try updating it by running `ollama pull two`';

let thrash: AbortController | null = null;

// Each request names another context than the one before, so each loads the model anew.
async function reloadForEver(host: Host, stop: AbortSignal): Promise<void> {
  for (let n = 0; !stop.aborted; n += 1) {
    const options = { num_predict: 1, ...(n % 2 === 0 ? { num_ctx: 2048 } : {}) };
    await generate(host, { model: 'two', prompt: 'x', stream: false, options }).catch(() => undefined);
    await new Promise((settle) => setTimeout(settle, 300));
  }
}

/** All of them. */
export const slowCases: readonly HealthCase[] = [
  {
    id: 'load-crash',
    kind: 'load-crash',
    limitMs: 5000,
    moves: false,
    standby: true,
    says: 'llama-server process has terminated: exit status 1',
    inject: faultyAndGone({ loadError: 'error: no usable device' }),
    heal: clear,
  },
  {
    id: 'stuck-stopping',
    kind: 'stuck-unload',
    limitMs: labHealth.stuckUnloadMs + 6000,
    moves: true,
    says: 'two:latest should have left memory',
    inject: faultyAndGone({ stuckUnload: true }),
    heal: clear,
  },
  {
    id: 'load-stall',
    kind: 'load-stall',
    limitMs: 6000,
    moves: false,
    standby: true,
    says: 'timed out waiting for llama-server to start',
    inject: faultyAndGone({ loadMs: 20_000, loadTimeoutMs: 700 }),
    heal: clear,
  },
  {
    id: 'stream-cut',
    kind: 'runner-errors',
    limitMs: labHealth.progress.canaryMs + 3000,
    moves: true,
    says: 'ended without done',
    inject: faulty({ silentEndAfterTokens: 0 }),
    heal: clear,
  },
  {
    id: 'projector-missing',
    kind: 'model-damaged',
    limitMs: 5000,
    moves: false,
    standby: true,
    says: 'projector',
    inject: faultyAndGone({ loadRefusal: { status: 404, error: 'model "two" not found, try pulling it first' } }),
    heal: clear,
  },
  {
    id: 'vram-short',
    kind: 'vram-short',
    limitMs: 4000,
    moves: false,
    says: '70 % of its weights in graphics memory, 100 % before',
    inject: faulty({ vramRatio: 0.7 }),
    heal: clear,
  },
  {
    id: 'zombie-runner',
    kind: 'zombie-runner',
    limitMs: labHealth.zombieMs + 8000,
    moves: false,
    says: 'has not named it',
    inject: faultyAndGone({ zombies: true }),
    heal: clear,
  },
  {
    id: 'version-skew',
    kind: 'version-skew',
    limitMs: 5000,
    moves: false,
    standby: true,
    says: 'may be incompatible with your version of Ollama',
    warns: 'Ollama versions differ',
    inject: faultyAndGone({ version: '0.30.1', loadRefusal: { status: 500, error: incompatible } }),
    heal: clear,
  },
  {
    id: 'slow-cold-load',
    kind: 'slow-load',
    limitMs: labHealth.slowLoadMs + 6000,
    moves: false,
    says: 'its runner works on it',
    inject: async (_lab, host) => {
      await fault(host, '/fault', { loadMs: 8000 });
      const at = monoMs();
      demand(host, 'three');
      return at;
    },
    heal: clear,
  },
  {
    id: 'disk-full',
    kind: 'disk-full',
    limitMs: labHealth.hostEveryMs + 4000,
    moves: false,
    says: 'disk full',
    inject: async (_lab, host) => {
      const [pid = 0] = await host.service('agent').pids();
      // A small disk with the same store, seen by the agent alone.
      const script = 'd=$(mktemp -d) && mount -t tmpfs -o size=64m none "$d" && cp -a "$0/." "$d" && mount --bind "$d" "$0"';
      const at = monoMs();
      await must(['nsenter', '-t', String(pid), '-m', 'sh', '-c', script, storeOf(host)]);
      return at;
    },
    heal: async (_lab, host) => {
      const [pid = 0] = await host.service('agent').pids();
      await must(['nsenter', '-t', String(pid), '-m', 'umount', storeOf(host)]);
    },
  },
  {
    id: 'vision-broken',
    kind: 'vision-broken',
    limitMs: 4 * labHealth.progress.canaryMs + 5000,
    moves: false,
    says: 'two:latest fails with an image',
    inject: faulty({ brokenVision: true }),
    heal: clear,
  },
  {
    // /api/ps says that all is on the card.
    id: 'slow-tokens',
    kind: 'slow-tokens',
    limitMs: 15_000,
    moves: false,
    says: 'it may run on the CPU whatever /api/ps tells',
    inject: faulty({ firstTokenMs: 1600 }),
    heal: clear,
  },
  {
    id: 'reload-thrash',
    kind: 'reload-thrash',
    limitMs: 20_000,
    moves: false,
    says: 'was loaded',
    inject: async (_lab, host) => {
      const at = monoMs();
      thrash = new AbortController();
      void reloadForEver(host, thrash.signal);
      return at;
    },
    heal: async (_lab, host) => {
      thrash?.abort();
      await setUp(host);
    },
  },
];
