import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startFakeOllama } from '../../fake-ollama/server.ts';
import { recordedStore, WEIGHTS, world, writeBlobFile } from './world.ts';

const TINY = 'manifests/registry.ollama.ai/library/tiny';

it('fails every listing while one entry cannot be examined, and heals when it is gone', async () => {
  await using it = await world(recordedStore());
  symlinkSync('/nonexistent', join(it.store, TINY, 'dang'));
  for (const name of ['tags-500-dangling-symlink', 'generate-404-dangling-symlink', 'chat-400-dangling-symlink']) await it.replays(name);
  rmSync(join(it.store, TINY, 'dang'));
  expect((await it.sends('tags-several')).status).toBe(200);
});

it('keeps a listing error of the start until the next start', async () => {
  const store = recordedStore();
  symlinkSync('/nonexistent', join(store, TINY, 'dang'));
  await using it = await world(store);
  await it.sends('root-get');
  rmSync(join(store, TINY, 'dang'));
  await it.replays('tags-500-stored-error');
  const restarted = await startFakeOllama({ store });
  expect((await fetch(`${restarted.url}/api/tags`)).status).toBe(200);
  await restarted.close();
});

it('poisons its cache when the weights are missing at first sight, and a variant of the manifest cures it', async () => {
  await using it = await world(recordedStore());
  const blob = join(it.store, 'blobs', `sha256-${WEIGHTS.tiny2.digest}`);
  const manifest = join(it.store, 'manifests/registry.ollama.ai/library/tiny2/latest');
  renameSync(blob, `${blob}.away`);
  await it.replays('generate-weights-missing-uncached');
  renameSync(`${blob}.away`, blob);
  await it.replays('generate-poisoned');
  expect(JSON.parse((await it.sends('show-tiny2')).chunks?.[0] ?? '{}').capabilities).toEqual(['completion']);
  writeFileSync(manifest, `${readFileSync(manifest, 'utf8')}\n`);
  expect((await it.posts('/api/generate', { model: 'tiny2', prompt: 'hi', stream: false })).status).toBe(200);
});

it('answers 404 when the weights go missing later', async () => {
  await using it = await world(recordedStore());
  await it.posts('/api/generate', { model: 'tiny2' });
  await it.posts('/api/generate', { model: 'tiny2', keep_alive: 0 });
  rmSync(join(it.store, 'blobs', `sha256-${WEIGHTS.tiny2.digest}`));
  await it.replays('generate-weights-missing-cached');
});

it('answers 404 for a vision model without its projector', async () => {
  await using it = await world(recordedStore());
  rmSync(join(it.store, 'blobs', `sha256-${WEIGHTS.projector.digest}`));
  await it.replays('generate-projector-missing');
  expect((await it.posts('/api/chat', { model: 'tinyv', messages: [{ role: 'user', content: 'only text' }] })).status).toBe(404);
});

it('tells cut weights and weights that are none', async () => {
  await using it = await world(recordedStore());
  truncateSync(join(it.store, 'blobs', `sha256-${WEIGHTS.tiny2.digest}`), WEIGHTS.tiny2.size / 2);
  // Which tensor comes first over the end depends on their order in the file.
  const replace = [
    [/tensor \\"[^"]+\\" offset/, 'tensor offset'],
    [/exceeds file size \(\d+\)/, 'exceeds file size (N)'],
  ] as const;
  await it.replays('generate-weights-truncated', { replace });
  await it.replays('show-weights-truncated', { replace });
  writeBlobFile(it.store, WEIGHTS.tiny2.digest, 'no model at all, but bytes');
  await it.replays('generate-weights-bad-magic');
});

it('cannot use an empty or a cut manifest, and leaves it out of the list', async () => {
  await using it = await world(recordedStore());
  for (const [name, bytes] of [
    ['empty', ''],
    ['trunc', '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","conf'],
  ] as const) {
    const folder = join(it.store, 'manifests/registry.ollama.ai/library', name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'latest'), bytes);
  }
  await it.replays('generate-empty-manifest');
  await it.replays('generate-truncated-manifest');
  const names = JSON.parse((await it.sends('tags-several')).body).models.map((row: { name: string }) => row.name);
  expect(names).not.toContain('empty:latest');
  expect(names).toContain('tiny:latest');
});

it('lists the sha256 of the manifest file as digest', async () => {
  await using it = await world(recordedStore());
  const rows: { name: string; digest: string }[] = JSON.parse((await it.sends('tags-several')).body).models;
  const file = readFileSync(join(it.store, TINY, 'latest'));
  expect(rows.find((row) => row.name === 'tiny:latest')?.digest).toBe(createHash('sha256').update(file).digest('hex'));
});
