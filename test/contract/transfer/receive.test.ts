import { fork } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blobFile, freshDir, makeBlob, sha256 } from '../store/models.ts';
import { ANY, fetch, identity, keyOf, receiving, serving, wire } from './nodes.ts';

const MIB = 1024 * 1024;
const part = () => join(freshDir(), 'part');

describe('receiving a blob', () => {
  it('brings the whole, verified, and names the file that was verified', async () => {
    const blob = makeBlob(5 * MIB + 123);
    const me = await receiving({ gpu1: (await serving('gpu1', [blob])).address });
    const file = part();
    const outcome = await fetch(me, blob, file, ['gpu1']);
    expect(outcome).toEqual({ k: 'done', key: keyOf(file), from: 'gpu1', receivedBytes: blob.bytes.length, blamed: [] });
    expect(readFileSync(file).equals(blob.bytes)).toBe(true);
  });

  it('brings many small blobs and an empty one over few connections', async () => {
    const blobs = [...Array.from({ length: 60 }, (_, i) => makeBlob(1 + i * 997)), makeBlob(0)];
    const me = await receiving({ gpu1: (await serving('gpu1', blobs)).address });
    const dir = freshDir();
    const outcomes = await Promise.all(blobs.map((blob) => fetch(me, blob, join(dir, blob.digest), ['gpu1'])));
    expect(outcomes.map(({ k }) => k)).toEqual(blobs.map(() => 'done'));
    expect(blobs.every(({ digest }) => sha256(readFileSync(join(dir, digest))) === digest)).toBe(true);
  });

  it('goes on where the connection was cut, from the next source', async () => {
    const blob = makeBlob(6 * MIB);
    const address = (await serving('gpu1', [blob])).address;
    const other = (await serving('gpu2', [blob])).address;
    const me = await receiving({ gpu1: await wire(address, 2 * MIB, 'cut'), gpu2: other });
    const file = part();
    const outcome = await fetch(me, blob, file, ['gpu1', 'gpu2']);
    expect(outcome).toMatchObject({ k: 'done', receivedBytes: blob.bytes.length, blamed: [{ node: 'gpu1', corrupt: false }] });
    expect(readFileSync(file).equals(blob.bytes)).toBe(true);
  });

  it('goes on with the only source after it was cut three times', async () => {
    const blob = makeBlob(8 * MIB);
    const me = await receiving({ gpu1: await wire((await serving('gpu1', [blob])).address, 2 * MIB, 'cut', 3) });
    expect(await fetch(me, blob, part(), ['gpu1'])).toMatchObject({ k: 'done', receivedBytes: blob.bytes.length });
  });

  it('leaves a source that sends no byte any more', async () => {
    const blob = makeBlob(4 * MIB);
    const slow = await wire((await serving('gpu1', [blob])).address, MIB, 'stall');
    const me = await receiving({ gpu1: slow, gpu2: (await serving('gpu2', [blob])).address }, { stallMs: 300 });
    expect(await fetch(me, blob, part(), ['gpu1', 'gpu2'])).toMatchObject({
      k: 'done',
      blamed: [{ node: 'gpu1', reason: 'no byte for 300 ms' }],
    });
  });

  it('resumes after its process was killed, and hashes what is there once', async () => {
    const blob = makeBlob(12 * MIB);
    const { address } = await serving('gpu1', [blob]);
    const file = part();
    const child = fork(join(import.meta.dirname, 'receiver-process.ts'), { execArgv: [] });
    child.send({ tls: await identity('me'), port: address.port, digest: blob.digest, sizeBytes: blob.bytes.length, file });
    await new Promise<void>((resolve) => {
      child.on('message', (progress) => {
        if ((progress as { doneBytes: number }).doneBytes > 3 * MIB) resolve();
      });
    });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    const kept = statSync(file).size;
    expect(kept).toBeGreaterThanOrEqual(2 * MIB);
    const me = await receiving({ gpu1: address });
    const phases = new Set<string>();
    const outcome = await fetch(me, blob, file, ['gpu1'], ({ phase }) => void phases.add(phase));
    expect(outcome).toMatchObject({ k: 'done', receivedBytes: blob.bytes.length - kept });
    expect(phases.has('verify')).toBe(true);
    expect(readFileSync(file).equals(blob.bytes)).toBe(true);
  });

  it('starts over from a damaged part without blaming the honest source', async () => {
    const blob = makeBlob(3 * MIB);
    const me = await receiving({ gpu1: (await serving('gpu1', [blob])).address });
    const file = part();
    writeFileSync(file, makeBlob(MIB).bytes);
    expect(await fetch(me, blob, file, ['gpu1'])).toMatchObject({ k: 'done', from: 'gpu1', blamed: [], receivedBytes: 5 * MIB });
  });

  it('convicts a source that sends wrong bytes and takes the blob from the next', async () => {
    const blob = makeBlob(2 * MIB);
    const liar = await serving('gpu1', [blob]);
    writeFileSync(blobFile(liar.root, blob.digest), makeBlob(2 * MIB).bytes);
    liar.offer({ add: [[blob.digest, keyOf(blobFile(liar.root, blob.digest))]], remove: [] });
    const me = await receiving({ gpu1: liar.address, gpu2: (await serving('gpu2', [blob])).address });
    const file = part();
    const outcome = await fetch(me, blob, file, ['gpu1', 'gpu2']);
    expect(outcome).toMatchObject({ k: 'done', from: 'gpu2', blamed: [{ node: 'gpu1', corrupt: true }] });
    expect(await fetch(me, blob, part(), ['gpu1'])).toMatchObject({
      k: 'failed',
      cause: 'sources',
      blamed: [{ node: 'gpu1', corrupt: true }],
    });
  });

  it('convicts nobody for a mixture, and finds the liar by asking each alone', async () => {
    const blob = makeBlob(4 * MIB);
    const liar = await serving('gpu1', [blob]);
    writeFileSync(blobFile(liar.root, blob.digest), makeBlob(4 * MIB).bytes);
    liar.offer({ add: [[blob.digest, keyOf(blobFile(liar.root, blob.digest))]], remove: [] });
    const me = await receiving({ gpu1: await wire(liar.address, MIB, 'cut'), gpu2: (await serving('gpu2', [blob])).address });
    const outcome = await fetch(me, blob, part(), ['gpu1', 'gpu2']);
    expect(outcome).toMatchObject({ k: 'done', from: 'gpu2' });
    expect(outcome.blamed.find(({ corrupt }) => corrupt)?.node).toBe('gpu1');
  });

  it('refuses a source whose blob has another size', async () => {
    const blob = makeBlob(1000);
    const me = await receiving({ gpu1: (await serving('gpu1', [blob])).address });
    const ordered = { digest: blob.digest, bytes: { length: 900 } };
    expect(await fetch(me, ordered, part(), ['gpu1'])).toMatchObject({ k: 'failed', blamed: [{ reason: 'has another size' }] });
  });

  it('keeps to the bandwidth limit, and to a new one while it runs', async () => {
    const blob = makeBlob(3 * MIB);
    const me = await receiving({ gpu1: (await serving('gpu1', [blob])).address }, { bytesPerSecondMax: 2 * MIB });
    const started = performance.now();
    let half = 0;
    await fetch(me, blob, part(), ['gpu1'], ({ doneBytes }) => {
      if (doneBytes < MIB || half > 0) return;
      half = performance.now();
      me.setLimit(0);
    });
    expect(half - started).toBeGreaterThan(300);
    expect(performance.now() - half).toBeLessThan(half - started + 700);
  });

  it('stops when it is told to, and keeps what it has', async () => {
    const blob = makeBlob(6 * MIB);
    const me = await receiving({ gpu1: (await serving('gpu1', [blob])).address }, { bytesPerSecondMax: 4 * MIB });
    const stop = new AbortController();
    const file = part();
    const first = await fetch(me, blob, file, ['gpu1'], ({ doneBytes }) => doneBytes > MIB && stop.abort(), stop.signal);
    expect(first).toMatchObject({ k: 'failed', cause: 'aborted' });
    const kept = statSync(file).size;
    expect(kept).toBeGreaterThan(MIB);
    me.setLimit(0);
    expect(await fetch(me, blob, file, ['gpu1'])).toMatchObject({ k: 'done', receivedBytes: blob.bytes.length - kept });
  });

  it('says which source failed and why, when none is left', async () => {
    const blob = makeBlob(10);
    const me = await receiving({ gpu1: { ...ANY, port: 1 } });
    expect(await fetch(me, blob, part(), ['gpu1', 'stranger'])).toMatchObject({
      k: 'failed',
      cause: 'sources',
      blamed: [{ node: 'gpu1' }],
    });
    expect(await fetch(me, blob, part(), [])).toMatchObject({ k: 'failed', reason: 'no source to ask' });
  });

  it('says that the disk is at fault when the part cannot be written', async () => {
    const blob = makeBlob(10);
    const me = await receiving({ gpu1: (await serving('gpu1', [blob])).address });
    expect(await fetch(me, blob, join(freshDir(), 'no', 'such', 'dir'), ['gpu1'])).toMatchObject({ k: 'failed', cause: 'disk' });
  });
});
