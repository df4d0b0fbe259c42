import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openEarlyFlush } from '../../../src/drivers/transfer/early-flush.ts';
import { freshDir } from '../store/models.ts';

const MIB = 1024 * 1024;

async function flushing(): Promise<{ readonly wrote: (bytes: number) => void; readonly flushes: PromiseWithResolvers<void>[] }> {
  const handle = await open(join(freshDir(), 'part'), 'w');
  onTestFinished(() => handle.close());
  const flushes: PromiseWithResolvers<void>[] = [];
  const flush = (given: FileHandle): Promise<void> => {
    expect(given).toBe(handle);
    const one = Promise.withResolvers<void>();
    flushes.push(one);
    return one.promise;
  };
  return { wrote: openEarlyFlush(flush, handle), flushes };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

it('a flush begins with every 64 MiB, and never before', async () => {
  const { wrote, flushes } = await flushing();
  for (let mib = 0; mib < 63; mib += 1) wrote(MIB);
  expect(flushes).toHaveLength(0);
  wrote(MIB);
  expect(flushes).toHaveLength(1);
  flushes[0]?.resolve();
  await settled();
  wrote(63 * MIB);
  expect(flushes).toHaveLength(1);
  wrote(MIB);
  expect(flushes).toHaveLength(2);
});

it('only one flush runs at a time, and what was written meanwhile counts for the next', async () => {
  const { wrote, flushes } = await flushing();
  wrote(64 * MIB);
  wrote(64 * MIB);
  expect(flushes).toHaveLength(1);
  flushes[0]?.resolve();
  await settled();
  wrote(1);
  expect(flushes).toHaveLength(2);
});

it('a flush that fails ends nothing: the one at the end says it again', async () => {
  const { wrote, flushes } = await flushing();
  wrote(64 * MIB);
  flushes[0]?.reject(new Error('no space'));
  await settled();
  wrote(64 * MIB);
  expect(flushes).toHaveLength(2);
});
