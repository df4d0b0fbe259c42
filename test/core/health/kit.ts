// A health machine fed by hand: facts at times, and what it says and wants then.
import { levelsOf } from '../../../src/core/health/levels.ts';
import { createHealth, type HealthInput, type HealthState, healthWant, stepHealth } from '../../../src/core/health/machine.ts';
import type { Evidence, HealthConfig, LoadedModel, RunnerSeen, Traffic, Verdict } from '../../../src/core/health/types.ts';

const config: HealthConfig = { probeMs: 1000, timeoutMs: 2000, failures: 3, recoveries: 2, startMs: 60_000, required: [] };
const weights = 'aa'.repeat(32);
const digest = 'bb'.repeat(32);

export const runner = (more: Partial<RunnerSeen> = {}): RunnerSeen => ({
  pid: 100,
  startedAt: 7,
  port: 4000,
  weights,
  answer: 'ok',
  ms: 1,
  worked: false,
  stopped: false,
  ...more,
});

export const row = (more: Partial<LoadedModel> = {}): LoadedModel => ({
  name: 'm:latest',
  digest,
  weights,
  sizeBytes: 1000,
  vramBytes: 1000,
  contextLength: 4096,
  expiresInMs: null,
  ...more,
});

export const quiet: Traffic = {
  users: 0,
  movedBytes: 0,
  waiting: 0,
  waitingMs: 0,
  prompting: 0,
  speaking: 0,
  quietMs: Infinity,
  saidMs: Infinity,
};

/** A node that serves: each second http, list, ps and runners say that all is well, unless `over` says otherwise. */
export function createPatient(more: Partial<HealthConfig> = {}) {
  let state: HealthState = createHealth({ ...config, ...more }, { mono: 0, boot: 0, wall: 0 });
  let verdict: Verdict | null = null;
  let mono = 0;
  const over: {
    loaded: readonly LoadedModel[];
    runners: readonly RunnerSeen[];
    traffic: Traffic;
    tags: number;
    abilities: readonly string[];
  } = {
    loaded: [row()],
    runners: [runner()],
    traffic: quiet,
    tags: 200,
    abilities: ['completion'],
  };
  const asked: { at: number; model: string; numCtx: number | null; image: boolean; seq: number }[] = [];

  function put(input: HealthInput): Verdict {
    const turn = stepHealth(state, input, { mono, boot: mono, wall: mono });
    state = turn.state;
    verdict = turn.verdict;
    const { canary } = healthWant(state);
    if (canary !== null && canary.seq > (asked.at(-1)?.seq ?? 0))
      asked.push({ at: mono, model: canary.model, numCtx: canary.numCtx, image: canary.image, seq: canary.seq });
    return turn.verdict;
  }

  function round(): void {
    put({ k: 'http', status: 200, ms: 1, version: '0.33.0' });
    const names = ['m:latest', 'n:latest'];
    put({ k: 'tags', status: over.tags, ms: 1, names, abilities: new Map(names.map((name) => [name, over.abilities])) });
    put({ k: 'ps', status: 200, ms: 1, loaded: over.loaded });
    put({ k: 'runners', runners: over.runners });
    const { speaking, quietMs } = over.traffic;
    put({ k: 'traffic', ...over.traffic, saidMs: speaking > 0 ? quietMs : Infinity });
    put({ k: 'tick' });
  }

  put({ k: 'conn', up: true });
  return {
    over,
    asked,
    put,
    /** Rounds once a second until `untilMs`; a canary is answered by `how`, if at all. */
    run(untilMs: number, how: 'ok' | 'silent' | null | ((model: string) => 'ok' | 'silent') = null): Verdict {
      while (mono < untilMs) {
        mono += 1000;
        round();
        const open = healthWant(state).canary;
        const canary = typeof how === 'function' ? how(open?.model ?? '') : how;
        if (canary !== null && open !== null && (canary === 'ok' || mono - (asked.at(-1)?.at ?? 0) >= open.deadlineMs))
          put({
            k: 'canary',
            seq: open.seq,
            result: canary,
            status: canary === 'ok' ? 200 : 0,
            ms: canary === 'ok' ? 20 : open.deadlineMs,
            error: '',
          });
      }
      if (verdict === null) throw new Error('nothing was put');
      return verdict;
    },
    now: () => mono,
    remedy: () => healthWant(state).remedy,
    level: (name: string) => levelsOf(state, mono).find((l) => l.level === name),
    evidence: (e: Evidence) => put(e),
  };
}
