// Troubles that leave Ollama serving: each by its name, none of them named in the ordinary case beside it, and what the role does.
import { describe, expect, it } from 'vitest';
import { classOf } from '../../../src/core/health/learn-load.ts';
import { createHealth, stepHealth } from '../../../src/core/health/machine.ts';
import { createPatient, quiet, row, runner } from './kit.ts';

const other = 'cc'.repeat(32);

describe('a model that should have left memory', () => {
  it('is a stuck unload when nobody uses it, and a fitter node may take the role', () => {
    const p = createPatient();
    p.run(5000, 'ok');
    p.over.loaded = [row({ expiresInMs: -100 })];
    expect(p.run(34_000, 'ok')).toMatchObject({ kind: 'healthy' });
    const verdict = p.run(36_000, 'ok');
    expect(verdict).toMatchObject({ kind: 'stuck-unload', ollama: 'degraded', unfit: true });
    expect(verdict.reason).toContain('m:latest should have left memory');
    p.over.loaded = [];
    expect(p.run(37_000)).toMatchObject({ kind: 'healthy' });
  });

  it('is in use while a user waits, or gets bytes: a long answer shows an end in the past, too (H1)', () => {
    const p = createPatient();
    p.run(5000, 'ok');
    p.over.loaded = [row({ expiresInMs: -100 })];
    p.over.traffic = { ...quiet, users: 1, speaking: 1, movedBytes: 10, quietMs: 100, saidMs: 100 };
    expect(p.run(100_000)).toMatchObject({ kind: 'healthy' });
    p.over.traffic = { ...quiet, users: 1, waiting: 1, waitingMs: 1000, prompting: 1 };
    expect(p.run(200_000)).toMatchObject({ kind: 'healthy' });
  });

  it('is not judged without a view of the requests', () => {
    const config = { probeMs: 1000, timeoutMs: 2000, failures: 3, recoveries: 2, startMs: 60_000, required: [] };
    const at = (mono: number) => ({ mono, boot: mono, wall: mono });
    let state = createHealth(config, at(0));
    for (let mono = 0; mono < 60_000; mono += 1000) {
      state = stepHealth(state, { k: 'http', status: 200, ms: 1, version: '' }, at(mono)).state;
      const turn = stepHealth(state, { k: 'ps', status: 200, ms: 1, loaded: [row({ expiresInMs: -100 })] }, at(mono));
      expect(turn.verdict.kind).toBe('healthy');
      state = turn.state;
    }
  });

  it('is cured by an end of its runner alone, where that is allowed', () => {
    const off = { enabled: false, perHourMax: 2, coolDownMs: 60_000 };
    const p = createPatient({
      remedies: { unloadBlocker: off, killRunner: { ...off, enabled: true }, healCache: off, restartOllama: off },
    });
    p.run(5000, 'ok');
    p.over.loaded = [row({ expiresInMs: -100 })];
    p.run(36_000, 'ok');
    expect(p.remedy()).toMatchObject({ k: 'killRunner', pid: 100, startedAt: 7 });
  });
});

describe('a load of the hot set that fails', () => {
  it.each([
    ['500 llama-server process has terminated: exit status 1: error: no device', 'load-crash'],
    ['500 llama runner process has terminated: signal: killed', 'load-crash'],
    ['500 timed out waiting for llama-server to start - ', 'load-stall'],
    ['500 llama-server process has terminated: exit status 1: cudaMalloc failed: out of memory', 'memory-short'],
    ['500 llama-server reported out-of-memory during startup: x', 'memory-short'],
    ['404 model "m" not found, try pulling it first', 'model-damaged'],
    ["404 model 'm:latest' not found", 'model-damaged'],
    ['500 tensor "blk.0" offset+size (9) exceeds file size (7)', 'model-damaged'],
    ['500 unknown renderer "qwen9"', 'version-skew'],
    ['500 x: this model may be incompatible with your version of Ollama. If you ...', 'version-skew'],
    ['TimeoutError', 'load-failed'],
    ['503 server busy, please try again.  maximum pending requests exceeded', null],
    ['499 request canceled', null],
  ] as const)('"%s" is %s', (error, kind) => {
    expect(classOf(error)).toBe(kind);
    const p = createPatient();
    p.run(2000, 'ok');
    const verdict = p.put({ k: 'load', model: 'n:latest', state: 'failed', ms: 10, error });
    expect(verdict).toMatchObject({ kind: kind ?? 'healthy', unfit: false });
    if (kind !== null) expect(verdict.reason).toContain(error);
  });

  it('is forgotten when the model is loaded after all, by whomever', () => {
    const p = createPatient();
    p.run(2000, 'ok');
    const failed = { k: 'load', model: 'n:latest', state: 'failed', ms: 10, error: '500 process has terminated' } as const;
    expect(p.put(failed)).toMatchObject({ kind: 'load-crash', ollama: 'degraded' });
    expect(p.put({ ...failed, state: 'done', error: '' })).toMatchObject({ kind: 'healthy' });
    p.put(failed);
    p.over.loaded = [row(), row({ name: 'n:latest', digest: 'dd'.repeat(32), weights: other })];
    p.over.runners = [runner(), runner({ pid: 101, weights: other })];
    expect(p.run(4000, 'ok')).toMatchObject({ kind: 'healthy' });
  });
});

describe('memory of the card', () => {
  it('that holds a smaller part of a model than before is named and moves nothing; below half it is lost', () => {
    const p = createPatient();
    p.run(2000, 'ok');
    p.over.loaded = [row({ vramBytes: 700 })];
    expect(p.run(3000, 'ok')).toMatchObject({ kind: 'vram-short', ollama: 'degraded', unfit: false });
    p.over.loaded = [row({ vramBytes: 400 })];
    expect(p.run(4000, 'ok')).toMatchObject({ kind: 'gpu-lost', unfit: true });
    p.over.loaded = [row()];
    expect(p.run(5000, 'ok')).toMatchObject({ kind: 'healthy' });
  });

  it('that never held all of a model is shown by the level alone', () => {
    const p = createPatient();
    p.over.loaded = [row({ vramBytes: 600 })];
    expect(p.run(3000, 'ok')).toMatchObject({ kind: 'healthy' });
    expect(p.level('runner')).toMatchObject({ state: 'warning', text: 'm:latest has 60 % of its weights in graphics memory' });
  });
});

describe('a runner that /api/ps does not name', () => {
  it('is a zombie when it is ready for half a minute; while it loads it is a load', () => {
    const p = createPatient();
    p.over.runners = [runner(), runner({ pid: 200, weights: other, answer: 'loading' })];
    expect(p.run(29_000, 'ok')).toMatchObject({ kind: 'healthy' });
    expect(p.run(40_000, 'ok')).toMatchObject({ ollama: 'up', kind: 'slow-load', unfit: false });
    p.over.runners = [runner(), runner({ pid: 200, weights: other })];
    expect(p.run(69_000, 'ok')).toMatchObject({ kind: 'healthy' });
    const verdict = p.run(72_000, 'ok');
    expect(verdict).toMatchObject({ kind: 'zombie-runner', ollama: 'degraded', unfit: false });
    expect(verdict.reason).toContain('process 200');
  });

  it('does not hide a hang: a zombie is no load, and tokens are asked all the same', () => {
    const p = createPatient();
    p.over.runners = [runner(), runner({ pid: 200, weights: other })];
    p.run(40_000, 'ok');
    expect(p.run(80_000, 'silent')).toMatchObject({ kind: 'gpu-hang', unfit: true });
  });

  it('is not judged by a list whose models have unknown weights', () => {
    const p = createPatient();
    const { weights: _, ...unknown } = row({ name: 'n:latest', digest: 'dd'.repeat(32) });
    p.over.loaded = [row(), unknown];
    p.over.runners = [runner(), runner({ pid: 200, weights: other })];
    expect(p.run(60_000, 'ok')).toMatchObject({ kind: 'healthy' });
  });
});

it('a model that is loaded again and again is a reload thrash until a minute passes without a load; two loads are none', () => {
  const p = createPatient();
  for (let n = 1; n <= 5; n += 1) {
    p.over.runners = [runner({ pid: 100 + n })];
    expect(p.run(n * 4000, 'ok')).toMatchObject({ kind: 'healthy' });
  }
  p.over.runners = [runner({ pid: 200 })];
  const verdict = p.run(24_000, 'ok');
  expect(verdict).toMatchObject({ kind: 'reload-thrash', ollama: 'degraded', unfit: false });
  expect(verdict.reason).toContain('m:latest was loaded 6 times in 300 s');
  expect(p.run(82_000, 'ok')).toMatchObject({ kind: 'healthy' });
});

describe('tokens by canary', () => {
  const answer = (p: ReturnType<typeof createPatient>, what: { ms?: number; status?: number; error?: string }): string => {
    const { seq } = p.asked.at(-1) ?? { seq: 0 };
    const status = what.status ?? 200;
    const result = status === 200 && what.error === undefined ? 'ok' : 'error';
    return p.put({ k: 'canary', seq, result, status, ms: what.ms ?? 20, error: what.error ?? '' }).kind;
  };
  /** The next question. */
  const next = (p: ReturnType<typeof createPatient>): { image: boolean } => {
    const { length } = p.asked;
    while (p.asked.length === length) p.run(p.now() + 1000);
    const asked = p.asked.at(-1);
    if (asked === undefined) throw new Error('nothing was asked');
    return asked;
  };

  it('three in a row that take ten times the quickest, and over a second, are slow, and move nothing', () => {
    const p = createPatient();
    next(p);
    answer(p, { ms: 90 });
    for (const ms of [1200, 800, 1200, 1200]) {
      next(p);
      expect(answer(p, { ms })).toBe('healthy');
    }
    next(p);
    expect(answer(p, { ms: 1300 })).toBe('slow-tokens');
    expect(p.run(p.now() + 1000)).toMatchObject({ ollama: 'degraded', unfit: false });
    next(p);
    expect(answer(p, { ms: 60 })).toBe('healthy');
  });

  it('an answer that ends without done is an error of the runner; a refusal is none', () => {
    const p = createPatient();
    next(p);
    expect(answer(p, { status: 400, error: 'invalid' })).toBe('healthy');
    next(p);
    expect(answer(p, { status: 200, error: 'an answer that ended without done' })).toBe('runner-errors');
  });

  it('a vision model that fails with images alone is named and moves nothing, until it sees again', () => {
    const p = createPatient();
    p.over.abilities = ['completion', 'vision'];
    while (!next(p).image) answer(p, {});
    expect(answer(p, { status: 500, error: 'failed to process image' })).toBe('vision-broken');
    expect(p.level('progress')).toMatchObject({ state: 'warning' });
    // A text follows at once: it tells whether the model fails with everything.
    const failedAt = p.now();
    expect(next(p).image).toBe(false);
    expect(p.now() - failedAt).toBeLessThanOrEqual(6000);
    expect(answer(p, {})).toBe('vision-broken');
    const seen: string[] = [];
    while (seen.length < 2)
      if (next(p).image) seen.push(answer(p, {}));
      else answer(p, {});
    expect(seen).toEqual(['vision-broken', 'healthy']);
  });

  it('a vision model that fails with everything is a failing runner, which moves the role', () => {
    const p = createPatient();
    p.over.abilities = ['completion', 'vision'];
    while (!next(p).image) answer(p, {});
    answer(p, { status: 500, error: 'x' });
    next(p);
    expect(answer(p, { status: 500, error: 'x' })).toBe('runner-errors');
  });

  it('each of two vision models is shown an image', () => {
    const p = createPatient();
    p.over.abilities = ['completion', 'vision'];
    p.over.loaded = [row(), row({ name: 'n:latest', digest: 'dd'.repeat(32), weights: other })];
    p.over.runners = [runner(), runner({ pid: 101, weights: other })];
    const shown = new Set<string>();
    for (let n = 0; n < 24; n += 1) {
      next(p);
      const asked = p.asked.at(-1);
      if (asked?.image === true) shown.add(asked.model);
      answer(p, {});
    }
    expect([...shown].sort()).toEqual(['m:latest', 'n:latest']);
  });

  it('a slow time is forgotten by and by, so that a later hang is found in time', () => {
    const p = createPatient();
    next(p);
    answer(p, { ms: 3000 });
    for (let n = 0; n < 12; n += 1) {
      next(p);
      answer(p, { ms: 20 });
    }
    next(p);
    const askedAt = p.now();
    while (p.run(p.now() + 1000, 'silent').kind !== 'gpu-hang') expect(p.now() - askedAt).toBeLessThan(7000);
  });
});
