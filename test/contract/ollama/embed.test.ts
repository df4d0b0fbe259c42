import { rmSync } from 'node:fs';
import { expect, it } from 'vitest';
import { blobPath } from '../../fake-ollama/disk.ts';
import { writeModel } from '../../fake-ollama/store.ts';
import { tempStore, type World, world } from './world.ts';

/** A store with an embedding model; gives its weights file. */
function embeddingStore(): { readonly store: string; readonly weights: string } {
  const store = tempStore();
  const model = writeModel(store, 'tinye', { seed: 'e', gguf: { 'llama.pooling_type': 1 } });
  return { store, weights: blobPath(store, `sha256:${model.blobs[0]?.digest}`) };
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((settle) => setTimeout(settle, 5));
}

function embeds(it: World, input: unknown) {
  return it.posts('/api/embed', { model: 'tinye', input });
}

it('refuses an input that is too long only when it may not be cut: embed-too-long', async () => {
  await using it = await world(embeddingStore().store);
  // The body whose size and hash the recording holds.
  const body = JSON.stringify({ model: 'tinye', input: 'word '.repeat(1800), truncate: false });
  await it.replays('embed-too-long', { body });
  expect((await embeds(it, 'word '.repeat(1800))).status).toBe(200);
});

it('answers 500 when the runner dies while it loads: embed-runner-killed', async () => {
  await using it = await world(embeddingStore().store, { loadMs: 3000 });
  const reply = embeds(it, ['hi']);
  await until(() => it.fake.loadingPids().length === 1);
  process.kill(it.fake.loadingPids()[0] ?? 0, 'SIGKILL');
  it.demands('embed-runner-killed', await reply);
});

it('answers 400, not 500, when the runner dies while it embeds, and works again after', async () => {
  await using it = await world(embeddingStore().store, { firstTokenMs: 2000 });
  await embeds(it, []);
  const reply = embeds(it, ['hi']);
  await until(() => it.fake.runners()[0]?.refs === 1);
  process.kill(it.fake.runners()[0]?.pid ?? 0, 'SIGKILL');
  const { status, body } = await reply;
  expect(status).toBe(400);
  expect(body).toMatch(/^\{"error":"do embedding request: Post \\"http:\/\/127\.0\.0\.1:\d+\/v1\/embeddings\\": EOF"\}$/);
  await it.fake.fault({ firstTokenMs: 0 });
  expect((await embeds(it, ['hi'])).status).toBe(200);
});

it('reads the weights for every request: a loaded model whose file is gone fails', async () => {
  const { store, weights } = embeddingStore();
  await using it = await world(store);
  await embeds(it, ['hi']);
  rmSync(weights);
  expect(await embeds(it, ['hi'])).toMatchObject({ status: 500, body: `{"error":"open ${weights}: no such file or directory"}` });
});
