import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { generateModel, type Registry, startRegistry } from '../../fake-ollama/registry.ts';
import type { WrittenModel } from '../../fake-ollama/store.ts';
import { expected, RECORDED } from './recordings.ts';
import { send, type WireReply } from './wire.ts';
import { tempStore, type World, world } from './world.ts';

const dir = tempStore();
let registry: Registry;
let small: WrittenModel;
let large: WrittenModel;

beforeAll(async () => {
  small = generateModel({ dir, name: 'tiny2', sizeBytes: 600_000, seed: 2, projector: true });
  // The recording of the mismatch names another model.
  generateModel({ dir, name: 'tinyv', sizeBytes: 600_000, seed: 2, projector: true });
  large = generateModel({ dir, name: 'mid', sizeBytes: 120_000_000, seed: 1, projector: false });
  registry = await startRegistry({ dir });
});
afterAll(() => {
  registry.close();
  rmSync(dir, { recursive: true });
});

/** Sends the recorded pull to our registry. */
async function pull(
  it: World,
  name: string,
  options: { readonly closeAfterMs?: number; readonly from?: Registry } = {},
): Promise<WireReply> {
  const recorded = JSON.parse(readFileSync(join(RECORDED, `${name}.json`), 'utf8')).request.body;
  const host = (options.from ?? registry).host;
  const body = JSON.parse(recorded.replace(/127\.0\.0\.1:\d+/, host));
  const headers = [['Host', '127.0.0.1:11434'] as const];
  const limits = options.closeAfterMs === undefined ? {} : { closeAfterMs: options.closeAfterMs };
  return send(it.fake.port, { method: 'POST', path: '/api/pull', headers, body: JSON.stringify(body) }, limits);
}

/** The statuses of a pull, digests and figures blanked, repeats joined: what is equal for every model. */
function statuses(lines: readonly string[]): readonly string[] {
  const plain = lines.map((line) => line.replace(/[0-9a-f]{12,64}/g, 'HEX').replace(/"(total|completed)":\d+/g, '"$1":N'));
  return plain.filter((line, i) => line !== plain[i - 1]);
}

function recordedStatuses(name: string): readonly string[] {
  const { body } = expected(name);
  return statuses(typeof body === 'string' ? [body] : body);
}

function blobNames(store: string): string[] {
  return readdirSync(join(store, 'blobs')).sort();
}

it('pulls a small model, and finds everything present the second time: pull-small', async () => {
  await using it = await world(tempStore());
  const first = await pull(it, 'pull-small');
  expect(first.headers.map(([name]) => name)).toEqual(['Content-Type', 'Date', 'Transfer-Encoding']);
  expect(statuses(first.chunks ?? []).filter((line) => !line.includes('pulling HEX'))).toEqual(recordedStatuses('pull-small'));
  const again = await pull(it, 'pull-small-again');
  expect(statuses(again.chunks ?? [])).toEqual(recordedStatuses('pull-small-again'));
  expect(again.chunks).toHaveLength(small.blobs.length + 4);
  const file = join(it.store, 'manifests', registry.host, 'library/tiny2/latest');
  expect(readFileSync(file)).toEqual(small.manifest);
  expect(statSync(file).mode & 0o777).toBe(0o644);
});

it('answers one object without a stream: pull-nonstream', async () => {
  await using it = await world(tempStore());
  it.demands('pull-nonstream', await pull(it, 'pull-nonstream'));
});

it('pulls a large model with progress, a sparse file of full size and parts beside it: pull-large', async () => {
  const slow = await startRegistry({ dir, bytesPerSecond: 100_000_000 });
  await using it = await world(tempStore());
  const reply = pull(it, 'pull-large', { from: slow });
  const weights = `sha256-${large.blobs[0]?.digest}`;
  const partial = join(it.store, 'blobs', `${weights}-partial`);
  while (statSync(partial, { throwIfNoEntry: false }) === undefined) await new Promise((settle) => setTimeout(settle, 10));
  await new Promise((settle) => setTimeout(settle, 200));
  const seen = statSync(partial);
  expect(seen.size).toBe(large.blobs[0]?.sizeBytes);
  expect(seen.blocks * 512).toBeLessThan(seen.size);
  const recordedParts = partsOf(JSON.parse(readFileSync(join(RECORDED, 'pull-large-files.json'), 'utf8')).snapshots[1].files);
  const parts = blobNames(it.store)
    .filter((name) => /-partial-\d+$/.test(name))
    .map((name) => readFileSync(join(it.store, 'blobs', name), 'utf8'));
  expect(parts[0]).toBe(recordedParts[0]);
  expect(parts).toHaveLength(2);
  const done = await reply;
  expect(statuses(done.chunks ?? [])).toEqual(recordedStatuses('pull-large'));
  expect(blobNames(it.store)).toEqual(large.blobs.map((blob) => `sha256-${blob.digest}`).sort());
  slow.close();
});

it('keeps the parts of an aborted pull and resumes there: pull-aborted-by-client, pull-resumed', async () => {
  const slow = await startRegistry({ dir, bytesPerSecond: 60_000_000 });
  await using it = await world(tempStore());
  const aborted = await pull(it, 'pull-aborted-by-client', { closeAfterMs: 700, from: slow });
  expect(aborted.end).toBe(expected('pull-aborted-by-client').end);
  expect(statuses(aborted.chunks ?? [])).toEqual(recordedStatuses('pull-aborted-by-client'));
  const recordedKinds = kindsOf(JSON.parse(readFileSync(join(RECORDED, 'pull-aborted-files.json'), 'utf8')).files);
  let completed = 0;
  while (completed === 0) {
    await new Promise((settle) => setTimeout(settle, 10));
    const parts = blobNames(it.store).filter((name) => /-partial-\d+$/.test(name));
    completed = parts.reduce((sum, name) => sum + JSON.parse(readFileSync(join(it.store, 'blobs', name), 'utf8')).Completed, 0);
  }
  const kinds = new Set(blobNames(it.store).map((name) => name.replace(/[0-9a-f]{64}/, 'HEX').replace(/\d+$/, 'N')));
  expect([...kinds].sort()).toEqual(recordedKinds.filter((kind) => kind !== 'sha256-HEX'));
  const resumed = await pull(it, 'pull-resumed', { from: slow });
  expect(statuses(resumed.chunks ?? [])).toEqual(recordedStatuses('pull-resumed'));
  expect(JSON.parse(resumed.chunks?.[1] ?? '{}').completed).toBeGreaterThanOrEqual(completed);
  slow.close();
});

it('deletes only the first corrupt blob, and calls the second pull a success: pull-digest-mismatch', async () => {
  const bad = await startRegistry({ dir });
  const corrupt = small.blobs.slice(0, 3).map((blob) => blob.digest);
  bad.corrupt(corrupt.map((digest) => `sha256:${digest}`));
  await using it = await world(tempStore());
  const reply = await pull(it, 'pull-digest-mismatch', { from: bad });
  expect(statuses(reply.chunks ?? []).filter((line) => !line.includes('pulling HEX'))).toEqual(recordedStatuses('pull-digest-mismatch'));
  const left = JSON.parse(readFileSync(join(RECORDED, 'pull-digest-mismatch-files.json'), 'utf8')).snapshots.at(-1).files;
  expect(kindsOf(left)).toEqual(['sha256-HEX']);
  expect(blobNames(it.store)).not.toContain(`sha256-${corrupt[0]}`);
  expect(blobNames(it.store)).toContain(`sha256-${corrupt[1]}`);
  bad.corrupt([]);
  const again = await pull(it, 'pull-digest-mismatch', { from: bad });
  expect(again.chunks?.at(-1)).toBe('{"status":"success"}\n');
  bad.close();
});

it('does not pull without a redirect to another host name: pull-no-location', async () => {
  const same = await startRegistry({ dir, redirectHost: '127.0.0.1' });
  await using it = await world(tempStore());
  const reply = await pull(it, 'pull-no-location', { from: same });
  // A progress line comes when the registry takes longer than 60 ms to answer.
  it.demands('pull-no-location', { ...reply, chunks: reply.chunks?.filter((line) => !line.includes('"completed"')) ?? null });
  same.close();
});

it.each(['pull-unknown-model', 'pull-insecure-missing'])('%s: the error is the last line of a 200', async (name) => {
  await using it = await world(tempStore());
  const reply = await pull(it, name);
  it.demands(name, reply, { replace: [[/127\.0\.0\.1:\d+/g, 'HOST']] });
});

it('fails when the disk is full, and again until the empty progress file is gone', async () => {
  await using it = await world(tempStore());
  await it.fake.fault({ pullEnospcAfterBytes: 1000 });
  const reply = await pull(it, 'pull-small');
  expect(reply.chunks?.at(-1)).toMatch(/write .*\/blobs\/sha256-[0-9a-f]{64}-partial: no space left on device/);
  await it.fake.clear();
  expect((await pull(it, 'pull-small')).chunks?.at(-1)).toBe('{"error":"EOF"}\n');
  for (const name of blobNames(it.store)) if (/-partial-\d+$/.test(name)) rmSync(join(it.store, 'blobs', name));
  expect((await pull(it, 'pull-small')).chunks?.at(-1)).toBe('{"status":"success"}\n');
});

type Seen = { readonly path: string; readonly text?: string };

function partsOf(files: readonly Seen[]): readonly string[] {
  return files.flatMap((file) => (/-partial-\d+$/.test(file.path) ? [file.text ?? ''] : []));
}

function kindsOf(files: readonly Seen[]): readonly string[] {
  const blobs = files.filter((file) => file.path.startsWith('blobs/'));
  return [
    ...new Set(
      blobs.map((file) =>
        file.path
          .slice(6)
          .replace(/[0-9a-f]{64}/, 'HEX')
          .replace(/\d+$/, 'N'),
      ),
    ),
  ].sort();
}
