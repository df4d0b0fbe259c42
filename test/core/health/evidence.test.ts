import { describe, expect, it } from 'vitest';
import { LEVEL_DEFAULTS } from '../../../src/core/health/config.ts';
import type { RemedyConfig } from '../../../src/core/health/remedy-types.ts';
import { createPatient, quiet, row, runner } from './kit.ts';

const speaking = { ...quiet, users: 1, speaking: 1 };

describe('failures by name', () => {
  it('a runner that is silent three times in a row and does no work is hung; one silence is a warning', () => {
    const p = createPatient();
    p.run(5000, 'ok');
    p.over.runners = [runner({ answer: 'silent', stopped: true })];
    expect(p.run(6000, 'ok')).toMatchObject({ ollama: 'up', unfit: false });
    expect(p.level('runner')).toMatchObject({ state: 'warning' });
    const verdict = p.run(8000, 'ok');
    expect(verdict).toMatchObject({ ollama: 'degraded', kind: 'hung-runner', unfit: true });
    expect(verdict.reason).toContain('m:latest (pid 100)');
    expect(verdict.reason).toContain('stopped by a signal');
    p.over.runners = [runner()];
    expect(p.run(9000, 'ok').reason).toContain('has answered 1 of 2 times');
    expect(p.run(10_000, 'ok')).toMatchObject({ kind: 'healthy' });
  });

  it('a silent runner that uses CPU time has three times as long (H1)', () => {
    const p = createPatient();
    p.run(5000, 'ok');
    p.over.runners = [runner({ answer: 'silent', worked: true })];
    expect(p.run(13_000)).toMatchObject({ unfit: false });
    expect(p.run(14_000)).toMatchObject({ kind: 'hung-runner' });
  });

  it('a stream that stops after its first token is found within ten seconds', () => {
    const p = createPatient();
    p.over.traffic = { ...speaking, movedBytes: 500, quietMs: 10 };
    p.run(40_000);
    expect(p.asked).toHaveLength(0); // bytes are the proof
    for (let s = 1; s <= 10; s += 1) {
      p.over.traffic = { ...speaking, quietMs: s * 1000 };
      p.run(40_000 + s * 1000, 'silent');
    }
    const verdict = p.run(50_000, 'silent');
    expect(verdict).toMatchObject({ kind: 'stalled-stream', unfit: true });
    p.over.traffic = { ...speaking, movedBytes: 10, quietMs: 5 };
    expect(p.run(51_000)).toMatchObject({ kind: 'stalled-stream' }); // one look is no proof
    expect(p.run(52_000)).toMatchObject({ kind: 'healthy' });
  });

  it('an idle connection that is kept open costs one canary, and is no stalled stream', () => {
    const p = createPatient();
    p.over.traffic = { ...speaking, movedBytes: 500, quietMs: 10 };
    p.run(40_000);
    for (let s = 1; s <= 20; s += 1) {
      p.over.traffic = { ...speaking, quietMs: s * 1000 };
      expect(p.run(40_000 + s * 1000, 'ok')).toMatchObject({ kind: 'healthy' });
    }
    expect(p.asked).toHaveLength(1);
  });

  it('an idle hang is found within canary period and deadline, and named so', () => {
    const p = createPatient();
    p.run(2000, 'ok');
    const before = p.now();
    let found = Number.POSITIVE_INFINITY;
    while (p.now() < before + 36_000 && found === Number.POSITIVE_INFINITY)
      if (p.run(p.now() + 1000, 'silent').kind === 'gpu-hang') found = p.now();
    expect(found - before).toBeLessThanOrEqual(35_000);
  });

  it('a canary that waits behind a user who gets bytes proves nothing (H1)', () => {
    const p = createPatient();
    p.over.traffic = { ...quiet };
    p.run(2000, 'ok');
    p.run(32_000);
    expect(p.asked.length).toBeGreaterThan(1);
    p.over.traffic = { ...speaking, movedBytes: 5, quietMs: 20 };
    expect(p.run(40_000, 'silent')).toMatchObject({ kind: 'healthy' });
  });

  it('a load of the hot set that no process works on is a scheduler deadlock; one that a runner works on is a load', () => {
    const p = createPatient();
    p.run(5000, 'ok');
    p.put({ k: 'load', model: 'cold:latest', state: 'started', ms: 0, error: '' });
    p.over.runners = [runner(), runner({ pid: 200, weights: 'cc'.repeat(32), answer: 'loading' })];
    expect(p.run(60_000, 'ok')).toMatchObject({ ollama: 'up', kind: 'slow-load', unfit: false });
    p.over.runners = [runner()];
    const verdict = p.run(61_000, 'ok');
    expect(verdict).toMatchObject({ kind: 'scheduler-deadlock', unfit: true });
    expect(verdict.reason).toContain('cold:latest');
  });

  it('a request without a byte is waiting for five minutes, and a long prompt for ever', () => {
    const p = createPatient();
    p.over.traffic = { ...quiet, users: 1, waiting: 1, waitingMs: 299_000, quietMs: 1000 };
    expect(p.run(20_000, 'ok')).toMatchObject({ unfit: false });
    p.over.traffic = { ...quiet, users: 1, waiting: 1, waitingMs: 900_000, prompting: 1, quietMs: 900_000 };
    expect(p.run(60_000)).toMatchObject({ unfit: false });
    p.over.traffic = { ...quiet, users: 1, waiting: 1, waitingMs: 301_000, quietMs: 301_000 };
    expect(p.run(62_000, 'ok')).toMatchObject({ kind: 'scheduler-deadlock' });
  });

  it('three deaths within five minutes are a crash loop, until a minute passes without one', () => {
    const p = createPatient();
    for (let n = 1; n <= 3; n += 1) {
      p.run(p.now() + 5000, 'ok');
      p.put({ k: 'connect', result: 'refused' });
      p.put({ k: 'conn', up: true });
    }
    p.run(p.now() + 1000);
    expect(p.run(p.now() + 3000, 'ok')).toMatchObject({ ollama: 'degraded', kind: 'crash-loop', unfit: true });
    expect(p.run(p.now() + 60_000, 'ok')).toMatchObject({ kind: 'healthy' });
  });

  it('weights that left graphics memory are a lost card, against what was usual; size 0 tells nothing', () => {
    const p = createPatient();
    p.run(3000, 'ok');
    p.over.loaded = [row({ vramBytes: 0 })];
    expect(p.run(4000, 'ok')).toMatchObject({ kind: 'gpu-lost', unfit: true });
    const onCpu = createPatient();
    onCpu.over.loaded = [row({ sizeBytes: 0, vramBytes: 0 })];
    expect(onCpu.run(5000, 'ok')).toMatchObject({ kind: 'healthy' });
  });

  it('a card tool that fails twice in a row is a lost card', () => {
    const p = createPatient();
    p.run(3000, 'ok');
    const failed = { k: 'gpu', error: 'nvidia-smi: Unable to determine the device handle', usedBytes: 0, totalBytes: 0 } as const;
    expect(p.evidence(failed)).toMatchObject({ kind: 'healthy' });
    expect(p.evidence(failed)).toMatchObject({ kind: 'gpu-lost' });
    const well = { ...failed, error: '', totalBytes: 1 };
    expect(p.evidence(well).reason).toContain('device handle');
    expect(p.evidence(well)).toMatchObject({ kind: 'healthy' });
  });

  it('a hot set thrown away at once is named and moves nothing; one model fewer is an unload', () => {
    const p = createPatient();
    const other = row({ name: 'n:latest', digest: 'dd'.repeat(32), weights: 'ee'.repeat(32) });
    p.over.loaded = [row(), other];
    p.run(3000, 'ok');
    p.over.loaded = [row()];
    expect(p.run(4000, 'ok')).toMatchObject({ kind: 'healthy' });
    p.over.loaded = [row(), other];
    p.run(5000, 'ok');
    p.over.loaded = [];
    p.over.runners = [];
    expect(p.run(6000)).toMatchObject({ ollama: 'degraded', kind: 'hot-set-lost', unfit: false });
    p.over.loaded = [row(), other];
    expect(p.run(7000)).toMatchObject({ kind: 'healthy' });
  });

  it('HTTP errors count until enough answers in a row are good; how many is configured', () => {
    const p = createPatient({ recoveries: 3 });
    p.run(3000, 'ok');
    expect(p.put({ k: 'http', status: 500, ms: 1, version: '' })).toMatchObject({ kind: 'http-error', unfit: true });
    expect(p.run(5000, 'ok').reason).toContain('2 of 3 times');
    expect(p.run(6000, 'ok')).toMatchObject({ kind: 'healthy' });
  });

  it('a runner that answers tokens with 5xx is named after one, and believed after two tokens', () => {
    const p = createPatient();
    p.run(2000, 'ok');
    while (p.asked.length < 2) p.run(p.now() + 1000);
    const seq = p.asked.at(-1)?.seq ?? 0;
    const verdict = p.put({ k: 'canary', seq, result: 'error', status: 500, ms: 5, error: 'CUDA error' });
    expect(verdict).toMatchObject({ kind: 'runner-errors', unfit: true });
    expect(verdict.reason).toContain('CUDA error');
    expect(p.run(p.now() + 5000, 'ok')).toMatchObject({ kind: 'runner-errors' });
    expect(p.run(p.now() + 5000, 'ok')).toMatchObject({ kind: 'healthy' });
  });

  it.each([400, 404, 503])('a canary answered with %i says nothing about the runner', (status) => {
    const p = createPatient();
    p.run(2000, 'ok');
    while (p.asked.length < 2) p.run(p.now() + 1000);
    const seq = p.asked.at(-1)?.seq ?? 0;
    expect(p.put({ k: 'canary', seq, result: 'error', status, ms: 5, error: 'not found' })).toMatchObject({ kind: 'healthy' });
  });

  it('a full disk is named and moves nothing', () => {
    const p = createPatient();
    p.run(3000, 'ok');
    p.put({ k: 'disk', freeBytes: 1_000_000, totalBytes: 1e12 });
    expect(p.run(4000, 'ok')).toMatchObject({ ollama: 'degraded', kind: 'disk-full', unfit: false });
    expect(p.level('disk')).toMatchObject({ state: 'failed' });
  });

  it('a list that fails for moments is a list error, one that fails for ever is broken', () => {
    const p = createPatient();
    p.run(3000, 'ok');
    p.over.tags = 500;
    expect(p.run(17_000, 'ok')).toMatchObject({ kind: 'list-error', unfit: false });
    const verdict = p.run(20_000, 'ok');
    expect(verdict).toMatchObject({ kind: 'list-broken', unfit: true });
    expect(verdict.reason).toContain('dangling link');
    p.over.tags = 200;
    expect(p.run(21_000, 'ok')).toMatchObject({ kind: 'list-broken' });
    expect(p.run(22_000, 'ok')).toMatchObject({ kind: 'healthy' });
  });

  it('an idle runner that died while it stays listed is named, moves nothing, and is never asked a token', () => {
    const p = createPatient();
    p.run(3000, 'ok');
    const before = p.asked.length;
    p.over.runners = [];
    expect(p.run(60_000, 'ok')).toMatchObject({ kind: 'runner-dead', unfit: false });
    expect(p.asked).toHaveLength(before);
  });

  it('runners that die again and again are a crash loop', () => {
    const p = createPatient();
    for (let n = 1; n <= 3; n += 1) {
      p.over.runners = [runner({ pid: 100 + n })];
      p.run(p.now() + 3000, 'ok');
      p.over.runners = [];
      p.run(p.now() + 3000);
    }
    expect(p.run(p.now() + 1000)).toMatchObject({ kind: 'runner-crash-loop', unfit: true });
  });
});

describe('a probe never loads, evicts or reloads (H4)', () => {
  it('the canary copies the context, and asks once in thirty seconds', () => {
    const p = createPatient();
    p.over.loaded = [row({ contextLength: 8192 })];
    p.run(120_000, 'ok');
    expect(p.asked[0]).toMatchObject({ model: 'm:latest', numCtx: 8192, image: false });
    expect(p.asked.length).toBeGreaterThanOrEqual(3);
    expect(p.asked.length).toBeLessThanOrEqual(5);
  });

  it.each([
    ['an embedding model', { abilities: ['embedding'] }],
    ['a model without a runner process', { runners: [] }],
    ['a runner that is silent', { runners: [runner({ answer: 'silent', worked: true })] }],
    ['a model about to leave memory', { loaded: [row({ expiresInMs: 9000 })] }],
    ['nothing loaded', { loaded: [] }],
    ['users who are being answered', { traffic: { ...speaking, movedBytes: 1, quietMs: 5 } }],
    ['a long prompt', { traffic: { ...quiet, users: 1, waiting: 1, waitingMs: 60_000, prompting: 1 } }],
  ])('%s: no canary', (_what, given: object) => {
    const p = createPatient();
    Object.assign(p.over, given);
    p.run(100_000, 'ok');
    expect(p.asked).toHaveLength(0);
  });

  it('does not keep a model in memory that users let go', () => {
    const p = createPatient();
    const endsAt = 300_000;
    // Each canary sets the time anew, as a use does.
    while (p.now() < 900_000) {
      const last = p.asked.at(-1)?.at ?? -1;
      const left = (last < 0 ? endsAt : last + 300_000) - p.now();
      if (left <= 0) break;
      p.over.loaded = [row({ expiresInMs: left })];
      p.run(p.now() + 1000, 'ok');
    }
    expect(p.now()).toBeLessThanOrEqual(2 * endsAt + 5000);
  });

  it('shows a vision model an image now and then', () => {
    const p = createPatient({ levels: { ...LEVEL_DEFAULTS, progress: { ...LEVEL_DEFAULTS.progress, imageEvery: 3 } } });
    p.over.abilities = ['completion', 'vision'];
    p.run(200_000, 'ok');
    expect(p.asked.slice(0, 4).map((a) => a.image)).toEqual([false, false, true, false]);
  });
});

describe('remedies', () => {
  const off = { enabled: false, perHourMax: 2, coolDownMs: 60_000 };
  const remedies = (more: Partial<RemedyConfig>): RemedyConfig => ({
    unloadBlocker: off,
    killRunner: off,
    healCache: off,
    restartOllama: off,
    ...more,
  });
  const freeze = (p: ReturnType<typeof createPatient>, untilMs: number) => {
    p.over.runners = [runner({ answer: 'silent', stopped: true })];
    p.run(untilMs);
  };

  it('are off by default', () => {
    const p = createPatient();
    p.run(3000, 'ok');
    freeze(p, 20_000);
    expect(p.remedy()).toBeNull();
  });

  it('a frozen runner is killed by its pid, once within the cool-down, and never above the cap of the hour', () => {
    const p = createPatient({ remedies: remedies({ killRunner: { ...off, enabled: true } }) });
    p.run(3000, 'ok');
    const orders: number[] = [];
    p.over.runners = [runner({ answer: 'silent', stopped: true })];
    while (p.now() < 600_000) {
      p.run(p.now() + 1000);
      const order = p.remedy();
      if (order === null) continue;
      expect(order).toMatchObject({ k: 'killRunner', pid: 100, startedAt: 7 });
      orders.push(p.now());
      p.put({ k: 'remedied', id: order.id, ok: true, text: 'done' });
    }
    expect(orders).toHaveLength(2);
    expect((orders[1] ?? 0) - (orders[0] ?? 0)).toBeGreaterThanOrEqual(60_000);
  });

  it('a poisoned cache is named, moves nothing, is healed once within the cool-down, and forgotten when healed', () => {
    const p = createPatient({ remedies: remedies({ healCache: { ...off, enabled: true } }) });
    p.run(3000, 'ok');
    const denied = {
      k: 'load',
      model: 'cold:latest',
      state: 'failed',
      ms: 5,
      error: '400 does not support generate',
      poisoned: true,
    } as const;
    const verdict = p.put(denied);
    expect(verdict).toMatchObject({ ollama: 'degraded', kind: 'cache-poisoned', unfit: false });
    expect(verdict.reason).toContain('cold:latest');
    const order = p.remedy();
    expect(order).toMatchObject({ k: 'healCache', model: 'cold:latest' });
    expect(p.put({ k: 'remedied', id: order?.id ?? 0, ok: true, text: 'done' })).toMatchObject({ kind: 'healthy' });
    expect(p.put(denied)).toMatchObject({ kind: 'cache-poisoned' });
    p.run(p.now() + 55_000, 'ok');
    expect(p.remedy()).toBeNull();
    p.run(p.now() + 6000, 'ok');
    expect(p.remedy()).toMatchObject({ k: 'healCache' });
  });

  it('a poisoned cache is only named where the remedy is off', () => {
    const p = createPatient();
    p.run(3000, 'ok');
    p.put({ k: 'load', model: 'cold:latest', state: 'failed', ms: 5, error: '400', poisoned: true });
    expect(p.run(9000, 'ok')).toMatchObject({ kind: 'cache-poisoned' });
    expect(p.remedy()).toBeNull();
    p.put({ k: 'load', model: 'cold:latest', state: 'done', ms: 5, error: '' });
    expect(p.run(10_000, 'ok')).toMatchObject({ kind: 'healthy' });
  });

  it('a scheduler deadlock is cured by an unload of the model that leaves soonest', () => {
    const p = createPatient({ remedies: remedies({ unloadBlocker: { ...off, enabled: true } }) });
    p.over.loaded = [row(), row({ name: 'n:latest', digest: 'dd'.repeat(32), weights: 'ee'.repeat(32), expiresInMs: 200_000 })];
    p.over.runners = [runner(), runner({ pid: 101, weights: 'ee'.repeat(32) })];
    p.run(3000, 'ok');
    p.put({ k: 'load', model: 'cold:latest', state: 'started', ms: 0, error: '' });
    p.run(25_000, 'ok');
    expect(p.remedy()).toMatchObject({ k: 'unloadBlocker', model: 'n:latest' });
  });
});

it('a token of another model does not clear the name of the one that hangs', () => {
  const p = createPatient();
  const other = row({ name: 'n:latest', digest: 'dd'.repeat(32), weights: 'ee'.repeat(32) });
  p.over.loaded = [row(), other];
  p.over.runners = [runner(), runner({ pid: 101, weights: 'ee'.repeat(32) })];
  p.run(2000, 'ok');
  while (p.run(p.now() + 1000, 'silent').kind !== 'gpu-hang') expect(p.now()).toBeLessThan(60_000);
  const model = p.asked.at(-1)?.model;
  p.run(p.now() + 10_000);
  expect(p.asked.at(-1)?.model).toBe(model);
  expect(p.run(p.now() + 8000, 'ok').kind).toBe('healthy');
});

it('a stream that stops is found within ten seconds whichever of two models it came from', () => {
  const p = createPatient();
  const other = row({ name: 'n:latest', digest: 'dd'.repeat(32), weights: 'ee'.repeat(32) });
  p.over.loaded = [row(), other];
  p.over.runners = [runner(), runner({ pid: 101, weights: 'ee'.repeat(32) })];
  p.over.traffic = { ...speaking, movedBytes: 500, quietMs: 10 };
  p.run(40_000);
  for (let s = 1; s <= 10; s += 1) {
    p.over.traffic = { ...speaking, quietMs: s * 1000 };
    p.run(40_000 + s * 1000, (name) => (name === 'n:latest' ? 'silent' : 'ok'));
  }
  expect(p.asked.slice(0, 2).map((a) => a.model)).toEqual(['m:latest', 'n:latest']);
  expect(p.run(50_500).kind).toBe('stalled-stream');
});

it('bytes that went out before a canary was asked do not excuse its silence', () => {
  const p = createPatient();
  p.run(1000, 'ok');
  while (p.asked.length < 2) p.run(p.now() + 1000);
  // Seen only now: a stream began, got its bytes, and stopped before the canary was asked.
  p.over.traffic = { ...speaking, movedBytes: 300, quietMs: p.now() + 1000 - (p.asked.at(-1)?.at ?? 0) + 500 };
  p.run(p.now() + 1000);
  p.over.traffic = { ...speaking, quietMs: p.over.traffic.quietMs + 1000 };
  expect(p.run(p.now() + 4000, 'silent').kind).toBe('stalled-stream');
});
