import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeModel } from '../../fake-ollama/store.ts';
import { comparable, RECORDED } from './recordings.ts';
import type { WireReply } from './wire.ts';
import { recordedStore, type World, world } from './world.ts';

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((settle) => setTimeout(settle, 5));
}

type Row = { readonly name: string; readonly expires_at: string; readonly digest: string };

function rows(reply: WireReply): Row[] {
  return JSON.parse(reply.body).models;
}

async function ps(it: World): Promise<WireReply> {
  return it.sends('ps-empty');
}

it('lists what is loaded: ps-loaded, ps-loaded-mid, ps-num-ctx, ps-keepalive-forever', async () => {
  await using it = await world(recordedStore());
  await it.posts('/api/generate', { model: 'tiny' });
  await it.posts('/api/generate', { model: 'tinyv' });
  it.demands('ps-loaded', await ps(it));
  await it.posts('/api/generate', { model: 'tinyv', keep_alive: 0 });
  await it.posts('/api/generate', { model: 'tiny', options: { num_ctx: 1024 } });
  it.demands('ps-num-ctx', await ps(it));
  await it.posts('/api/generate', { model: 'tiny', keep_alive: -1 });
  const forever = await ps(it);
  it.demands('ps-keepalive-forever', forever);
  expect(Number(rows(forever)[0]?.expires_at.slice(0, 4))).toBeGreaterThan(2310);
  await it.posts('/api/generate', { model: 'tiny', keep_alive: 0 });
  await it.posts('/api/generate', { model: 'mid' });
  it.demands('ps-loaded-mid', await ps(it));
});

it('does not list a model that is loading: ps-while-loading', async () => {
  await using it = await world(recordedStore(), { loadMs: 300 });
  const load = it.posts('/api/generate', { model: 'mid' });
  await until(() => it.fake.loadingPids().length === 1);
  it.demands('ps-while-loading', await ps(it));
  expect((await load).status).toBe(200);
  expect(rows(await ps(it))).toHaveLength(1);
});

it('shows an end in the past while a request outlasts keep_alive: ps-expires-in-the-past', async () => {
  await using it = await world(recordedStore(), { tokenMs: 20 });
  await it.posts('/api/generate', { model: 'mid', keep_alive: '100ms' });
  const stream = it.posts('/api/generate', { model: 'mid', prompt: 'hi', options: { num_predict: 15 } });
  await new Promise((settle) => setTimeout(settle, 200));
  const reply = await ps(it);
  it.demands('ps-expires-in-the-past', reply);
  expect(Date.parse(rows(reply)[0]?.expires_at ?? '')).toBeLessThan(Date.now());
  await stream;
  await until(() => it.fake.runners().length === 0);
});

it('keeps a busy model until its stream ends: ps-unload-pending', async () => {
  await using it = await world(recordedStore(), { tokenMs: 20 });
  const stream = it.posts('/api/generate', { model: 'mid', prompt: 'hi', options: { num_predict: 15 } });
  await until(() => it.fake.runners()[0]?.refs === 1);
  await it.posts('/api/generate', { model: 'mid', keep_alive: 0 });
  const reply = await ps(it);
  it.demands('ps-unload-pending', reply);
  expect(Date.parse(rows(reply)[0]?.expires_at ?? '')).toBeLessThanOrEqual(Date.now());
  expect((await stream).end).toBe('complete');
  await until(() => it.fake.runners().length === 0);
});

it('leaves the old runner when a tag moves to new weights: ps-stale-runner', async () => {
  await using it = await world(recordedStore());
  await it.posts('/api/generate', { model: 'tiny', keep_alive: -1 });
  const file = join(it.store, 'manifests/registry.ollama.ai/library/tiny/latest');
  const other = writeModel(it.store, 'other', { seed: 'new' });
  writeFileSync(file, readFileSync(other.file));
  it.demands('ps-stale-runner', await ps(it));
  await it.posts('/api/generate', { model: 'tiny', keep_alive: 0 });
  expect(rows(await ps(it))).toHaveLength(1);
  await it.posts('/api/generate', { model: 'tiny' });
  expect(rows(await ps(it)).map((row) => row.name)).toEqual(['tiny:latest', 'tiny:latest']);
});

it('refuses with 503 when the queue of loads is full, and serves a loaded model all the same', async () => {
  await using it = await world(recordedStore(), { maxQueue: 1 });
  await it.posts('/api/generate', { model: 'tiny' });
  await it.fake.fault({ loadMs: 2000 });
  const loading = it.sends('load-stall-500', { closeAfterMs: 1500 });
  await until(() => it.fake.loadingPids().length === 1);
  const pending = it.sends('generate-image', { closeAfterMs: 1500 });
  await until(() => (it.fake.requests()['POST /api/generate'] ?? 0) === 3);
  await new Promise((settle) => setTimeout(settle, 50));
  for (const name of ['queue-full-503', 'queue-full-chat-503', 'queue-full-v1-503', 'queue-full-hot-model-ok']) await it.replays(name);
  await Promise.all([loading, pending]);
});

it('serves one stream after the other with one slot: queue-num-parallel-1', async () => {
  await using it = await world(recordedStore(), { tokenMs: 2 });
  await it.posts('/api/generate', { model: 'mid' });
  const body = { model: 'mid', prompt: 'hi', options: { num_predict: 40, temperature: 0, seed: 1 } };
  const replies = await Promise.all([0, 1, 2].map(() => it.posts('/api/generate', body)));
  const [first, second, third] = replies.map((reply) => reply.firstByteMs).sort((a, b) => a - b);
  expect(second).toBeGreaterThan((first ?? 0) + 60);
  expect(third).toBeGreaterThan((second ?? 0) + 60);
  const recorded = JSON.parse(readFileSync(join(RECORDED, 'queue-num-parallel-1.json'), 'utf8')).responses[0];
  for (const reply of replies) {
    const got = comparable(reply, it.store);
    expect({ status: got.status, headers: got.headers, end: got.end }).toEqual({
      status: recorded.status,
      headers: ['Content-Type: application/x-ndjson', 'Date: *', 'Transfer-Encoding: chunked'],
      end: recorded.end,
    });
    expect(reply.chunks).toHaveLength(41);
  }
});
