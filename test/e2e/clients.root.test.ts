// The official clients through the VIP: their ordinary calls, and streams all through a switchover.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeModel } from '../fake-ollama/store.ts';
import { waitHealthy } from '../lab/cluster.ts';
import { switchover } from '../lab/demo-steps.ts';
import type { Lab } from '../lab/lab.ts';
import { monoMs, projectRoot, vipAddress } from '../lab/names.ts';
import { createProductLab } from '../lab/product-lab.ts';
import { request } from '../lab/request.ts';
import { silent } from '../lab/teller.ts';
import type { Stream } from './clients-process.ts';

const says = ' one two three four five six seven eight nine ten';
const steadyMs = 9000;
let lab: Lab;

beforeAll(async () => {
  lab = await createProductLab({ id: 'clients', nodes: 3, preset: 'fast' });
  await waitHealthy(lab);
  // Not before: an Ollama that starts removes empty directories of its store.
  for (const host of lab.hosts) writeModel(join(host.plan.dataDir, 'models'), 'm', { text: says.trim(), projectorBytes: 10_000 });
  // Streams of about 0.4 s, so that some are open whenever the VIP moves.
  for (const host of lab.hosts) await request(host.exec, 'POST', 'http://127.0.0.1:11435/fault', { tokenMs: 40 });
});
afterAll(() => lab?.destroy());

/** Runs the clients on the client host, against the VIP. */
async function clients(...args: readonly string[]): Promise<unknown> {
  const [mode = '', ...more] = args;
  const program = join(projectRoot, 'test/e2e/clients-process.ts');
  const out = await lab.client.exec([process.execPath, program, mode, `http://${vipAddress}:11434`, ...more], { timeoutMs: 60_000 });
  if (out.code !== 0) throw new Error(out.stderr);
  return JSON.parse(out.stdout);
}

test('the clients of Ollama and OpenAI make their ordinary calls through the VIP: lists, chats, streams, images, an abort', async () => {
  const { abort, list, models, ...texts } = (await clients('calls')) as Record<string, unknown>;
  expect([list, models]).toEqual([['m:latest'], ['m:latest']]);
  expect(abort).toBe('AbortError');
  expect(texts).toEqual({ chat: says, stream: says, image: says, openaiChat: says, openaiStream: says, openaiImage: says });
});

test('during a switchover a stream completes or ends with a connection error, and every later one succeeds', async () => {
  const running = clients('steady', String(steadyMs)) as Promise<readonly Stream[]>;
  const startMs = monoMs();
  while (monoMs() < startMs + 1500) await new Promise((settle) => setTimeout(settle, 50));
  const move = await switchover(lab, silent);
  expect(move.to).not.toBe(move.from);
  const movedMs = monoMs();
  const streams = await running;
  const failed = streams.filter((stream) => stream.error !== null);
  for (const stream of streams) if (stream.error === null) expect(stream.text, stream.client).toBe(says);
  const clear = /fetch failed|terminated|ECONNRESET|ECONNREFUSED|Connection error|socket|Premature close|network/i;
  expect(failed.filter((stream) => !clear.test(stream.error ?? ''))).toEqual([]);
  for (const client of ['ollama', 'openai']) {
    const later = streams.filter((stream) => stream.client === client && stream.startMs > movedMs);
    expect(later.length, client).toBeGreaterThan(2);
    expect(later.filter((stream) => stream.error !== null)).toEqual([]);
  }
});
