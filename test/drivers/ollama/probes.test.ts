import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHealth, stepHealth } from '../../../src/core/health/machine.ts';
import type { Evidence, HealthConfig, Verdict } from '../../../src/core/health/types.ts';
import { startOllamaProbes } from '../../../src/drivers/ollama/probes.ts';
import { startFakeOllama } from '../../fake-ollama/server.ts';
import { writeModel } from '../../fake-ollama/store.ts';

const MAIN = join(import.meta.dirname, '../../fake-ollama/main.ts');
const CONFIG: HealthConfig = { probeMs: 100, timeoutMs: 200, failures: 3, recoveries: 2, startMs: 5000, required: [] };

let store: string;
const ends: (() => void | Promise<void>)[] = [];

beforeEach(() => {
  store = mkdtempSync(join(tmpdir(), 'ollama-probes-'));
  writeModel(store, 'tiny');
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  rmSync(store, { recursive: true, force: true });
});

/** Probes with the machine behind them: each fact with its time, and the verdict after it. */
function watch(url: string, config: HealthConfig = CONFIG) {
  const seen: { readonly atMs: number; readonly evidence: Evidence; readonly verdict: Verdict }[] = [];
  const waiting = new Set<() => void>();
  const now = () => ({ mono: performance.now(), boot: performance.now(), wall: Date.now() });
  let state = createHealth(config, now());
  const port = startOllamaProbes({
    url,
    probeMs: config.probeMs,
    timeoutMs: config.timeoutMs,
    sink(input) {
      if (input.k !== 'evidence') throw new Error(`not evidence: ${input.k}`);
      const turn = stepHealth(state, input.evidence, now());
      state = turn.state;
      seen.push({ atMs: performance.now(), evidence: input.evidence, verdict: turn.verdict });
      for (const check of waiting) check();
    },
  });
  ends.push(() => port.close());
  return {
    seen,
    close: () => port.close(),
    /** The first fact from `from` on that fits. */
    until(fits: (fact: (typeof seen)[number]) => boolean, from = 0): Promise<(typeof seen)[number]> {
      return new Promise((settle) => {
        const check = (): void => {
          const fact = seen.find((each, i) => i >= from && fits(each));
          if (fact === undefined) return;
          waiting.delete(check);
          settle(fact);
        };
        waiting.add(check);
        check();
      });
    },
  };
}

/** The fake as its own process, so that it can be killed and stopped. */
async function program(port: number, ...flags: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN, '--host', '127.0.0.1', '--port', String(port), '--store', store, ...flags]);
  ends.push(() => void child.kill('SIGKILL'));
  await new Promise<void>((settle, fail) => {
    child.stdout.on('data', (bytes) => String(bytes).includes('Listening') && settle());
    child.once('exit', () => fail(new Error('the fake ended')));
  });
  return child;
}

async function freePort(): Promise<number> {
  const probe = createTcpServer();
  await new Promise<void>((settle) => probe.listen(0, '127.0.0.1', settle));
  const { port } = probe.address() as AddressInfo;
  await new Promise((settle) => probe.close(settle));
  return port;
}

describe('the probes of a live Ollama', () => {
  it('report connection, version, names and loaded models', async () => {
    const fake = await startFakeOllama({ store });
    ends.push(() => fake.close());
    await fetch(`${fake.url}/api/generate`, { method: 'POST', body: '{"model":"tiny"}' });
    const probes = watch(fake.url);
    await probes.until((fact) => fact.verdict.ollama === 'up');
    expect((await probes.until((fact) => fact.evidence.k === 'conn')).evidence).toEqual({ k: 'conn', up: true });
    expect((await probes.until((fact) => fact.evidence.k === 'http')).evidence).toMatchObject({ status: 200, version: '0.33.0-rc2' });
    expect((await probes.until((fact) => fact.evidence.k === 'tags')).evidence).toMatchObject({ status: 200, names: ['tiny:latest'] });
    const { evidence } = await probes.until((fact) => fact.evidence.k === 'ps');
    expect(evidence).toMatchObject({ status: 200, loaded: [{ name: 'tiny:latest', contextLength: 4096 }] });
  });

  it('keep one question of a kind in flight, however long it takes', async () => {
    const fake = await startFakeOllama({ store });
    ends.push(() => fake.close());
    await fake.fault({ psBlockMs: 150 });
    const probes = watch(fake.url, { ...CONFIG, probeMs: 10 });
    await probes.until((fact) => fact.evidence.k === 'ps');
    const count = fake.requests()['GET /api/ps'] ?? 0;
    expect(count).toBeLessThanOrEqual(2);
    expect(probes.seen.filter((fact) => fact.evidence.k === 'http').length).toBeGreaterThan(3);
  });

  it('ask /api/tags again after a single 500', async () => {
    let asked = 0;
    const url = await serve((path) => (path === '/api/tags' && asked++ === 0 ? [500, '{"error":"stat"}'] : [200, '{"models":[]}']));
    const probes = watch(url);
    expect((await probes.until((fact) => fact.evidence.k === 'tags')).evidence).toMatchObject({ status: 200, names: [] });
  });

  it('stop with close, and say nothing afterwards', async () => {
    const fake = await startFakeOllama({ store });
    ends.push(() => fake.close());
    const probes = watch(fake.url);
    await probes.until((fact) => fact.verdict.ollama === 'up');
    await probes.close();
    const count = probes.seen.length;
    await fake.close();
    await new Promise((settle) => setTimeout(settle, 150));
    expect(probes.seen).toHaveLength(count);
  });
});

describe('the probes of an Ollama in trouble', () => {
  it('see a kill -9 as a refused connection in less than 100 ms, and its return only after good probes', async () => {
    const port = await freePort();
    const child = await program(port);
    const probes = watch(`http://127.0.0.1:${port}`);
    await probes.until((fact) => fact.verdict.ollama === 'up');
    const killedAt = performance.now();
    child.kill('SIGKILL');
    const down = await probes.until((fact) => fact.verdict.ollama === 'down');
    expect(down.evidence).toMatchObject({ k: 'connect', result: 'refused' });
    expect(down.atMs - killedAt).toBeLessThan(1000);
    const from = probes.seen.length;
    await program(port);
    await probes.until((fact) => fact.verdict.ollama === 'starting', from);
    await probes.until((fact) => fact.verdict.ollama === 'up', from);
    const between = probes.seen.slice(from).filter((fact) => fact.evidence.k === 'http' && fact.verdict.ollama === 'starting');
    expect(between.length).toBeGreaterThanOrEqual(1);
  });

  it('take a stopped process for dead only after several silent probes, and see it heal', async () => {
    const port = await freePort();
    const child = await program(port);
    const probes = watch(`http://127.0.0.1:${port}`);
    await probes.until((fact) => fact.verdict.ollama === 'up');
    child.kill('SIGSTOP');
    const from = probes.seen.length;
    const down = await probes.until((fact) => fact.verdict.ollama === 'down', from);
    const misses = probes.seen
      .slice(from, probes.seen.indexOf(down) + 1)
      .filter((fact) => fact.evidence.k === 'http' && fact.evidence.status === 0);
    expect(misses).toHaveLength(CONFIG.failures);
    expect(down.verdict.reason).toContain('no answer to 3 probes');
    child.kill('SIGCONT');
    await probes.until((fact) => fact.verdict.ollama === 'up', probes.seen.length);
  });

  it('call an Ollama that listens but does not answer yet starting, not dead', async () => {
    const port = await freePort();
    const probes = watch(`http://127.0.0.1:${port}`);
    await probes.until((fact) => fact.verdict.ollama === 'down');
    const from = probes.seen.length;
    await program(port, '--start-delay', '1500');
    await probes.until((fact) => fact.evidence.k === 'http' && fact.evidence.status === 0, from);
    await probes.until((fact) => fact.verdict.ollama === 'up', from);
    const verdicts = probes.seen.slice(from).map((fact) => fact.verdict);
    const begun = verdicts.slice(verdicts.findIndex((verdict) => verdict.ollama === 'starting'));
    expect(begun.map((verdict) => verdict.ollama)).not.toContain('down');
    // A list that takes longer than half of the 200 ms, on a busy machine, is the only other word for it.
    const others = begun.filter((verdict) => !['starting', 'up'].includes(verdict.ollama)).map((verdict) => verdict.kind);
    expect(others.filter((kind) => kind !== 'scheduler-busy')).toEqual([]);
  });

  it('do not call a node dead whose /api/ps is blocked', async () => {
    const fake = await startFakeOllama({ store });
    ends.push(() => fake.close());
    const probes = watch(fake.url);
    await probes.until((fact) => fact.verdict.ollama === 'up');
    await fake.fault({ psBlockMs: 60_000 });
    const blocked = await probes.until((fact) => fact.verdict.ollama === 'degraded');
    expect(blocked.evidence).toMatchObject({ k: 'ps', status: 0 });
    await probes.until((fact) => fact.evidence.k === 'ps' && fact.evidence.status === 0, probes.seen.length);
    expect(probes.seen.map((fact) => fact.verdict.ollama)).not.toContain('down');
    await fake.clear();
    await probes.until((fact) => fact.verdict.ollama === 'up', probes.seen.length);
  });

  it('repeat a refusal once per probe, not ten times a second', async () => {
    const port = await freePort();
    const probes = watch(`http://127.0.0.1:${port}`, { ...CONFIG, probeMs: 400 });
    const [first] = [await probes.until((fact) => fact.evidence.k === 'connect')];
    const second = await probes.until((fact) => fact.evidence.k === 'connect', 1);
    expect(second.atMs - first.atMs).toBeGreaterThanOrEqual(390);
    expect(probes.seen.every((fact) => fact.evidence.k === 'connect')).toBe(true);
  });

  it('take answers that make no sense for no usable answer, and never throw', async () => {
    const url = await serve((path) => [
      200,
      path === '/api/tags' ? 'x'.repeat(9_000_000) : path === '/api/ps' ? '{"models":[{"name":7}]}' : '<html>',
    ]);
    const probes = watch(url, { ...CONFIG, timeoutMs: 2000 });
    expect((await probes.until((fact) => fact.evidence.k === 'tags')).evidence).toMatchObject({ status: 0, names: [] });
    expect((await probes.until((fact) => fact.evidence.k === 'ps')).evidence).toMatchObject({ status: 200, loaded: [] });
    expect((await probes.until((fact) => fact.evidence.k === 'http')).evidence).toMatchObject({ status: 200, version: '' });
  });
});

async function serve(answer: (path: string) => readonly [number, string]): Promise<string> {
  const server: Server = createServer((req, res) => {
    const [status, body] = answer(req.url ?? '');
    res.writeHead(status, { 'Content-Type': 'application/json' }).end(body);
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  ends.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
