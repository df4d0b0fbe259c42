// Failures of one Ollama in a cluster of real parts: found by name, in time, and the role does what the table of rules.ts says.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { healthCases } from '../bench/health/cases.ts';
import { labHealth } from '../bench/health/lab-health.ts';
import { allHot, ask, clear, fault, prepare } from '../bench/health/patient.ts';
import { runCase, storm } from '../bench/health/session.ts';
import type { Lab } from '../lab/lab.ts';
import { vipAddress } from '../lab/names.ts';
import { createProductLab } from '../lab/product-lab.ts';
import { request } from '../lab/request.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await createProductLab({ id: 'health', nodes: 3, preset: 'fast', config: { health: labHealth } });
  await prepare(lab);
}, 120_000);
afterAll(() => lab?.destroy());

test('standbys hold in memory what the active holds, and the first answer after a switchover needs no load', async () => {
  const holder = await allHot(lab);
  const move = await holder.agentctl(['switchover']);
  expect(move.code, move.stderr).toBe(0);
  const reply = await request(lab.client.exec, 'POST', `http://${vipAddress}:11434/api/generate`, {
    model: 'one',
    prompt: 'hi',
    stream: false,
  });
  const last: unknown = JSON.parse(reply.lines.at(-1)?.text ?? '{}');
  expect(last).toMatchObject({ done: true });
  expect(Number((last as { load_duration: number }).load_duration)).toBeLessThan(15_000_000);
}, 30_000);

// The moment counts from before the fault is sent to the fake, and ends with the line in the agent's log.
test.each(healthCases.filter((c) => c.id !== 'server-killed'))(
  '$id is named $kind in time; the role moves only to a fitter node',
  async (failure) => {
    const found = await runCase(lab, failure);
    expect(found.verdict).not.toBe('');
    expect(found.detectMs).toBeLessThan(failure.limitMs + 1000);
    expect(found.claims).toBe(failure.moves ? 1 : 0);
    // The only remedy that is on here.
    expect(found.remedied).toEqual(failure.id === 'load-deadlock' ? [expect.stringContaining('is told to leave memory')] : []);
  },
  90_000,
);

test('a killed Ollama that restarts by itself within 3 s costs one move, not two', async () => {
  const killed = healthCases.find((c) => c.id === 'server-killed');
  if (killed === undefined) throw new Error('no such case');
  expect((await runCase(lab, killed)).claims).toBe(1);
}, 60_000);

test('explain and status show each level with its own state', async () => {
  const holder = await allHot(lab);
  const explained = await holder.agentctl(['explain', holder.name]);
  for (const level of ['process ok', 'http ok', 'store ok', 'runner ok', 'progress ok', 'disk', 'memory', 'gpu'])
    expect(explained.stdout).toContain(level);
  expect(explained.stdout).toMatch(/warm (\d)\/\1/);
  const status = await holder.agentctl(['status', '--json']);
  expect(status.json).toMatchObject({ health: expect.arrayContaining([expect.objectContaining({ level: 'runner', state: 'ok' })]) });
}, 30_000);

test('explain gives the sentence behind a trouble that moves nothing', async () => {
  const holder = await allHot(lab);
  await fault(holder, '/fault', { vramRatio: 0.7 });
  try {
    await ask(holder, 'vram-short');
    const { stdout } = await holder.agentctl(['explain', holder.name]);
    // All of them have; the one that was loaded first is named.
    expect(stdout).toMatch(/graphics memory short: (one|two|three):latest has 70 % of its weights in graphics memory, 100 % before/);
  } finally {
    await clear(lab, holder);
  }
}, 30_000);

test('a drain moves the role before Ollama is stopped, and its stop then moves nothing', async () => {
  const holder = await allHot(lab);
  expect((await holder.agentctl(['drain', '--deadline', '1s'])).code).toBe(0);
  const next = await (async () => {
    const others = lab.hosts.filter((host) => host !== holder);
    const status = await others[0]?.agentctl(['status', '--json']);
    return (status?.json as { holder: string; epoch: number }) ?? { holder: '', epoch: 0 };
  })();
  expect(next.holder).not.toBe(holder.name);
  await holder.service('ollama').stop();
  const answer = await request(lab.client.exec, 'GET', `http://${vipAddress}:11434/api/version`);
  expect(answer.status).toBe(200);
  const status = await lab.host(next.holder).agentctl(['status', '--json']);
  expect(status.json).toMatchObject({ holder: next.holder, epoch: next.epoch });
  await holder.service('ollama').start();
  expect((await holder.agentctl(['undrain'])).code).toBe(0);
}, 60_000);

test('a storm of 64 streams with slow tokens moves nothing and alarms nobody', async () => {
  const seen = await storm(lab, vipAddress, 12);
  expect(seen.alarms).toEqual([]);
  expect(seen.failovers).toBe(0);
  expect(seen.answers).toBeGreaterThan(0);
}, 90_000);
