import { createHash } from 'node:crypto';
import { readFileSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { comparable, expected } from './recordings.ts';
import { manifestBytes, putBlobs, putManifest, putWeights, tempStore, WEIGHTS, world } from './world.ts';

const LIBRARY = 'manifests/registry.ollama.ai/library';

it('answers on an empty store as recorded', async () => {
  await using it = await world(tempStore());
  for (const name of ['tags-empty', 'tags-head', 'ps-empty', 'v1-models-empty', 'blob-head-missing-tiny']) await it.replays(name);
  await it.replays('blob-post-mismatch');
});

it('stores an upload under its true digest, also when it was announced under another', async () => {
  await using it = await world(tempStore());
  const refused = await it.posts(`/api/blobs/sha256:${'0'.repeat(64)}`, 'weights');
  expect(refused.status).toBe(400);
  expect(statSync(join(it.store, 'blobs', `sha256-${sha256('"weights"')}`)).size).toBe(9);
  await it.replays('blob-post-created-tiny', { path: `/api/blobs/sha256:${sha256('other')}`, body: 'other' });
  expect(statSync(join(it.store, 'blobs', `sha256-${sha256('other')}`)).size).toBe(5);
});

it('creates the recorded manifests byte for byte, with the recorded progress', async () => {
  await using it = await world(tempStore());
  putWeights(it.store);
  for (const name of ['create-tiny', 'create-tiny2', 'create-tinyv', 'create-mid'] as const) {
    await it.replays(name);
    const model = name.slice('create-'.length);
    expect(readFileSync(join(it.store, LIBRARY, model, 'latest'), 'utf8')).toBe(manifestBytes(model));
  }
});

it('lists, copies and deletes as recorded', async () => {
  const store = tempStore();
  for (const name of ['tiny', 'tiny2', 'tinyv', 'mid']) putManifest(store, name);
  putBlobs(store);
  await using it = await world(store);
  await it.replays('create-no-stream');
  stamp(store, { tiny: 3, tiny2: 3, tinyv: 3, mid: 4, tinyc: 4 });
  // Within one second the order is not fixed, and the digest of `tinyc` depends on the order of its keys.
  compareListing(await it.sends('tags-several'), 'tags-several', store);
  await it.replays('copy');
  stamp(store, { tiny: 3, tiny2: 3, tinyv: 3, mid: 4, tinyc: 4 });
  const listed = await it.sends('tags-with-namespace');
  expect(JSON.parse(textOf(listed)).models[0].name).toBe('me/tiny-copy:v1');
  compareListing(listed, 'tags-with-namespace', store, ['tinyc:latest']);
  await it.replays('delete');
  expect(JSON.parse(textOf(await it.sends('tags-several'))).models).toHaveLength(5);
  expect(statSync(join(store, 'blobs', `sha256-${WEIGHTS.tiny.digest}`)).size).toBe(WEIGHTS.tiny.size);
});

it('lists for OpenAI clients as recorded', async () => {
  const store = tempStore();
  for (const name of ['tiny', 'tiny2', 'tinyv', 'mid']) putManifest(store, name);
  putBlobs(store);
  stamp(store, { tiny: 3, tiny2: 3, tinyv: 3, mid: 4 });
  await using it = await world(store);
  await it.replays('v1-models');
});

it('removes with a model the blobs that only it names, and empty folders', async () => {
  const store = tempStore();
  for (const name of ['tiny', 'tiny2']) putManifest(store, name);
  putBlobs(store);
  await using it = await world(store);
  await it.posts('/api/copy', { source: 'tiny2', destination: 'far.example/a/b:c' });
  await deletes(it, 'tiny2');
  expect(statSync(join(store, 'blobs', `sha256-${WEIGHTS.tiny2.digest}`)).size).toBe(WEIGHTS.tiny2.size);
  await deletes(it, 'far.example/a/b:c');
  expect(statSync(join(store, 'blobs', `sha256-${WEIGHTS.tiny2.digest}`), { throwIfNoEntry: false })).toBeUndefined();
  expect(statSync(join(store, 'manifests/far.example'), { throwIfNoEntry: false })).toBeUndefined();
});

/** A body of more than 2 KB comes in chunks. */
function textOf(reply: Pick<Parameters<typeof comparable>[0], 'body' | 'chunks'>): string {
  return reply.chunks === null ? reply.body : reply.chunks.join('');
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

async function deletes(it: { readonly fake: { readonly url: string } }, model: string): Promise<void> {
  const reply = await fetch(`${it.fake.url}/api/delete`, { method: 'DELETE', body: JSON.stringify({ model }) });
  expect(reply.status).toBe(200);
}

function stamp(store: string, seconds: Readonly<Record<string, number>>): void {
  const day = Date.UTC(2026, 10, 24, 11, 10, 40) / 1000;
  for (const [model, second] of Object.entries(seconds)) utimesSync(join(store, LIBRARY, model, 'latest'), day + second, day + second);
}

type Row = { readonly name: string; readonly modified_at: string; readonly digest: string };

function compareListing(reply: Parameters<typeof comparable>[0], name: string, store: string, without: readonly string[] = []): void {
  const got = comparable(reply, store);
  const want = expected(name);
  expect({ ...got, body: '' }).toEqual({ ...want, body: '' });
  const rows = (body: unknown): Row[] =>
    JSON.parse(String(body))
      .models.filter((row: Row) => !without.includes(row.name))
      .map((row: Row) => (row.name === 'tinyc:latest' ? { ...row, digest: '' } : row))
      .sort((a: Row, b: Row) => (a.name < b.name ? -1 : 1));
  expect(rows(got.body)).toEqual(rows(want.body));
  const times = JSON.parse(reply.body).models.map((row: Row) => row.modified_at.slice(0, 19));
  expect(times).toEqual([...times].sort().reverse());
}
