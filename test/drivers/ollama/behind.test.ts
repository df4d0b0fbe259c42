// What is looked at behind HTTP, on the fake with its real child processes.
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CarePort } from '../../../src/agent/ports.ts';
import type { Evidence } from '../../../src/core/health/types.ts';
import type { CareWant, Input } from '../../../src/core/io.ts';
import { createCare } from '../../../src/drivers/ollama/care.ts';
import { askNvidia, lookAtAmd, lookAtDisk, lookAtMemory } from '../../../src/drivers/ollama/host.ts';
import { createRunnerWatch, findRunners, processStat } from '../../../src/drivers/ollama/runners.ts';
import { createTrafficWatch } from '../../../src/drivers/ollama/traffic.ts';
import { type FakeOllama, startFakeOllama } from '../../fake-ollama/server.ts';
import { writeModel } from '../../fake-ollama/store.ts';

let dir: string;
let fake: FakeOllama;
let care: CarePort;
let seen: Evidence[];
let waiters: (() => void)[];
const own = new Set<number>();

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'behind-'));
  writeModel(dir, 'm');
  writeModel(dir, 'n', { seed: 'n' });
  fake = await startFakeOllama({ store: dir, pingMs: 1000 });
  seen = [];
  waiters = [];
  const sink = (input: Input): void => {
    if (input.k === 'evidence') seen.push(input.evidence);
    for (const wake of waiters) wake();
  };
  care = createCare({ url: fake.url, store: dir, restartCommand: ['true'], own, sink });
});
afterEach(async () => {
  await care.close();
  await fake.close();
  rmSync(dir, { recursive: true, force: true });
});

async function until<K extends Evidence['k']>(
  k: K,
  more: (e: Extract<Evidence, { k: K }>) => boolean = () => true,
): Promise<Extract<Evidence, { k: K }>> {
  const is = (e: Evidence): e is Extract<Evidence, { k: K }> => e.k === k;
  for (;;) {
    const found = seen.filter(is).find(more);
    if (found !== undefined) return found;
    await new Promise<void>((resolve) => waiters.push(resolve));
  }
}

const nothing: CareWant = { canary: null, load: null, remedy: null };
const load = (seq: number, model: string): CareWant => ({
  ...nothing,
  load: { seq, model, weights: '', numCtx: null, keepAliveS: null, patienceMs: 10_000 },
});
const canary = (seq: number, model: string, deadlineMs = 5000): CareWant => ({
  ...nothing,
  canary: { seq, model, numCtx: 4096, image: false, deadlineMs },
});

describe('the runners of an Ollama', () => {
  it('are found by their weights, answer their own /health, and are silent when frozen', async () => {
    care.apply(load(1, 'm:latest'));
    expect(await until('load', (e) => e.state !== 'started')).toMatchObject({ state: 'done' });
    const watch = createRunnerWatch(join(dir, 'blobs'));
    const [runner] = await watch.look(true, 1000);
    expect(runner).toMatchObject({ answer: 'ok', stopped: false });
    expect(runner?.weights).toMatch(/^[0-9a-f]{64}$/);
    expect(processStat(runner?.pid ?? 0)).toMatchObject({ parent: process.pid });
    process.kill(runner?.pid ?? 0, 'SIGSTOP');
    expect(await watch.look(false, 200)).toMatchObject([{ answer: 'silent', stopped: true }]);
    // What it worked before it was stopped counted for that look; since then it did nothing.
    expect(await watch.look(false, 200)).toMatchObject([{ answer: 'silent', stopped: true, worked: false }]);
    process.kill(runner?.pid ?? 0, 'SIGCONT');
    expect(await watch.look(false, 1000)).toMatchObject([{ answer: 'ok' }]);
  });

  it('of another store are none of ours', async () => {
    care.apply(load(1, 'm:latest'));
    await until('load', (e) => e.state === 'done');
    expect(await findRunners(join(dir, 'elsewhere'))).toEqual([]);
  });
});

describe('a canary', () => {
  it('gets its token from a loaded model, and neither loads nor reloads anything', async () => {
    care.apply(load(1, 'm:latest'));
    await until('load', (e) => e.state === 'done');
    const before = fake.runners();
    care.apply(canary(1, 'm:latest'));
    care.apply(canary(1, 'm:latest')); // the same question is asked once
    expect(await until('canary')).toMatchObject({ seq: 1, result: 'ok', status: 200 });
    expect(fake.runners()).toMatchObject(before.map(({ pid }) => ({ pid })));
  });

  it('is not asked when the runner died since it was looked at: the question would load the model again', async () => {
    care.apply(load(1, 'm:latest'));
    await until('load', (e) => e.state === 'done');
    const runner = { pid: fake.runners()[0]?.pid ?? 0, startedAt: processStat(fake.runners()[0]?.pid ?? 0)?.startedAt ?? 0 };
    const of = (seq: number): CareWant => ({
      ...nothing,
      canary: { seq, model: 'm:latest', numCtx: 4096, image: false, deadlineMs: 5000, runner },
    });
    care.apply(of(1));
    expect(await until('canary', (e) => e.seq === 1)).toMatchObject({ result: 'ok' });
    const asked = fake.requests()['POST /api/generate'];
    process.kill(runner.pid, 'SIGKILL');
    while (processStat(runner.pid) !== null) await new Promise((settle) => setTimeout(settle, 5));
    care.apply(of(2));
    expect(await until('canary', (e) => e.seq === 2)).toMatchObject({ result: 'error', status: 0 });
    expect(fake.requests()['POST /api/generate']).toBe(asked);
  });

  it('is not asked when the model left memory since it was looked at, or has another context', async () => {
    care.apply(load(1, 'm:latest'));
    await until('load', (e) => e.state === 'done');
    const runner = { pid: process.pid, startedAt: processStat(process.pid)?.startedAt ?? 0 };
    const of = (seq: number, model: string, numCtx: number): CareWant => ({
      ...nothing,
      canary: { seq, model, numCtx, image: false, deadlineMs: 5000, runner },
    });
    care.apply(of(1, 'm:latest', 2048));
    expect(await until('canary', (e) => e.seq === 1)).toMatchObject({ result: 'error', status: 0 });
    await fetch(`${fake.url}/api/generate`, { method: 'POST', body: '{"model":"m","keep_alive":0}' });
    care.apply(of(2, 'm:latest', 4096));
    expect(await until('canary', (e) => e.seq === 2)).toMatchObject({ result: 'error', status: 0 });
    expect(fake.runners()).toEqual([]);
  });

  it('that ends without done is an error, whatever its status', async () => {
    care.apply(load(1, 'm:latest'));
    await until('load', (e) => e.state === 'done');
    await fake.fault({ silentEndAfterTokens: 0 });
    care.apply(canary(1, 'm:latest'));
    expect(await until('canary')).toMatchObject({ result: 'error', status: 200, error: 'an answer that ended without done' });
  });

  it('is silent after its deadline where generation hangs', async () => {
    care.apply(load(1, 'm:latest'));
    await until('load', (e) => e.state === 'done');
    await fake.fault({ hang: 'inference' });
    care.apply(canary(1, 'm:latest', 300));
    expect(await until('canary')).toMatchObject({ result: 'silent' });
  });

  it('shows an image to a vision model, which a model without eyes refuses', async () => {
    writeModel(dir, 'eye', { seed: 'eye', projectorBytes: 1000 });
    care.apply(load(1, 'eye:latest'));
    await until('load', (e) => e.state === 'done');
    const ask = (seq: number, model: string): CareWant => ({
      ...nothing,
      canary: { seq, model, numCtx: 4096, image: true, deadlineMs: 5000 },
    });
    care.apply(ask(1, 'eye:latest'));
    expect(await until('canary', (e) => e.seq === 1)).toMatchObject({ result: 'ok' });
    care.apply(ask(2, 'm:latest'));
    expect(await until('canary', (e) => e.seq === 2)).toMatchObject({ result: 'error', error: expect.stringContaining('multimodal') });
  });

  it('that is refused is an error with its words', async () => {
    care.apply(canary(1, 'unknown:latest'));
    expect(await until('canary')).toMatchObject({ result: 'error', status: 404, error: expect.stringContaining('not found') });
  });
});

describe('remedies', () => {
  it('kill a runner only while it is that very process of this store', async () => {
    care.apply(load(1, 'm:latest'));
    await until('load', (e) => e.state === 'done');
    const [runner] = await findRunners(join(dir, 'blobs'));
    if (runner === undefined) throw new Error('no runner');
    care.apply({ ...nothing, remedy: { id: 1, why: 'test', k: 'killRunner', pid: runner.pid, startedAt: runner.startedAt + 1 } });
    expect(await until('remedied', (e) => e.id === 1)).toMatchObject({ ok: false });
    care.apply({
      ...nothing,
      remedy: { id: 2, why: 'test', k: 'killRunner', pid: process.pid, startedAt: processStat(process.pid)?.startedAt ?? 0 },
    });
    expect(await until('remedied', (e) => e.id === 2)).toMatchObject({ ok: false });
    care.apply({ ...nothing, remedy: { id: 3, why: 'test', k: 'killRunner', pid: runner.pid, startedAt: runner.startedAt } });
    expect(await until('remedied', (e) => e.id === 3)).toMatchObject({ ok: true });
  });

  it('unload what a waiting load waits for, and the load goes on', async () => {
    care.apply(load(1, 'm:latest'));
    await until('load', (e) => e.state === 'done');
    await fake.fault({ wedge: true });
    care.apply(load(2, 'n:latest'));
    await until('load', (e) => e.model === 'n:latest' && e.state === 'started');
    care.apply({ ...nothing, remedy: { id: 1, why: 'test', k: 'unloadBlocker', model: 'm:latest' } });
    expect(await until('remedied')).toMatchObject({ ok: true });
    expect(await until('load', (e) => e.model === 'n:latest' && e.state !== 'started')).toMatchObject({ state: 'done' });
  });

  it('heal a cache that denies a model, and leave the manifest as it was', async () => {
    const file = join(dir, 'manifests/registry.ollama.ai/library/m/latest');
    const before = { bytes: readFileSync(file), mtimeMs: statSync(file).mtimeMs };
    await fetch(`${fake.url}/api/version`); // its caches begin with the first request
    expect(fake.poison('m')).toBe(true);
    care.apply(load(1, 'm:latest'));
    expect(await until('load', (e) => e.state === 'failed')).toMatchObject({
      poisoned: true,
      error: expect.stringContaining('does not support generate'),
    });
    care.apply({ ...nothing, remedy: { id: 1, why: 'test', k: 'healCache', model: 'm:latest' } });
    expect(await until('remedied')).toMatchObject({ ok: true, text: 'remedy healCache: m:latest was read anew' });
    expect(readFileSync(file)).toEqual(before.bytes);
    expect(statSync(file).mtimeMs).toBeCloseTo(before.mtimeMs, -1);
    expect(readdirSync(dir).sort()).toEqual(['blobs', 'manifests']);
    care.apply(load(2, 'm:latest'));
    expect(await until('load', (e) => e.state === 'done')).toMatchObject({ model: 'm:latest' });
  });

  it('change no manifest of a model that is not denied', async () => {
    const file = join(dir, 'manifests/registry.ollama.ai/library/m/latest');
    const { ino } = statSync(file);
    care.apply({ ...nothing, remedy: { id: 1, why: 'test', k: 'healCache', model: 'm:latest' } });
    expect(await until('remedied')).toMatchObject({ text: 'remedy healCache: m:latest is not denied any more' });
    expect(statSync(file).ino).toBe(ino);
  });

  it('run the restart command as it stands, without a shell, and tell how it ended', async () => {
    care.apply({ ...nothing, remedy: { id: 1, why: 'test', k: 'restartOllama' } });
    expect(await until('remedied')).toMatchObject({ ok: true, text: 'remedy restartOllama: true is done' });
  });
});

describe("users' connections", () => {
  it('are seen, ours are not', async () => {
    const port = Number(new URL(fake.url).port);
    const watch = createTrafficWatch(port, () => own);
    expect(await watch.look([])).toMatchObject({ users: 0, waiting: 0 });
    const user = connect(port, '127.0.0.1');
    await new Promise((resolve) => user.once('connect', resolve));
    await fake.fault({ hang: 'all' });
    user.write('GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n');
    for (;;) {
      const look = await watch.look([]);
      if (look?.waiting === 1) break;
    }
    own.add(user.localPort ?? 0);
    expect(await watch.look([])).toMatchObject({ users: 0 });
    own.clear();
    user.destroy();
  });
});

describe("runners' tokens", () => {
  it('are told by the kernel: one piece each', async () => {
    const port = Number(new URL(fake.url).port);
    const runner = createServer((socket) => void socket.setNoDelay(true)).listen(0, '127.0.0.1');
    await once(runner, 'listening');
    const { port: runnerPort } = runner.address() as AddressInfo;
    const watch = createTrafficWatch(port, () => own);
    const user = connect(port, '127.0.0.1');
    const accepted = once(runner, 'connection');
    const ollama = connect(runnerPort, '127.0.0.1').resume();
    const [socket] = (await accepted) as [Socket];
    await expect.poll(async () => (await watch.look([runnerPort]))?.users).toBe(1);
    const token = async (): Promise<void> => {
      const read = once(ollama, 'data');
      socket.write('data: {"content":"x"}\n\n');
      await read;
    };
    for (let i = 0; i < 12; i++) await token();
    expect(await watch.look([runnerPort])).toMatchObject({ tokens: 12 });
    for (const end of [user, ollama, socket]) end.destroy();
    runner.close();
  });
});

describe('the means of the host', () => {
  it('are told by the kernel', async () => {
    const disk = await lookAtDisk(dir);
    expect(disk?.freeBytes).toBeGreaterThan(0);
    expect(disk?.totalBytes).toBeGreaterThanOrEqual(disk?.freeBytes ?? 0);
    expect((await lookAtMemory())?.availableBytes).toBeGreaterThan(0);
    expect(await lookAtDisk('/nowhere')).toBeNull();
  });

  it('cards tell their memory, a tool that fails is evidence, and no card is none', async () => {
    expect(await askNvidia(['printf', '1000, 8000\\n24, 8000\\n'])).toMatchObject({
      error: '',
      usedBytes: 1024 * 1_048_576,
      totalBytes: 16_000 * 1_048_576,
    });
    expect(await askNvidia(['false'])).toMatchObject({ error: expect.stringContaining('false') });
    expect(await askNvidia(['true'])).toMatchObject({ error: 'true lists no card' });
    expect(await lookAtAmd('/nowhere')).toBeNull();
  });
});
