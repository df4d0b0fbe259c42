import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { complete, freshDir, holds, makeBlob, makeModel } from '../store/models.ts';
import { source, standby } from './pair.ts';

const MIB = 1024 * 1024;

/** A store on a file system of 16 MiB. */
function smallRoot(): string {
  const root = join(freshDir(), 'models');
  mkdirSync(root);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'ohl-store', root]);
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', root]);
  });
  return root;
}

describe('a full disk', () => {
  it('makes a copy wait before it starts, and lets it go on when there is room', async () => {
    const root = smallRoot();
    writeFileSync(join(root, 'filler'), Buffer.alloc(12 * MIB));
    const model = makeModel('a', [makeBlob(8 * MIB)]);
    const me = await standby([await source('gpu1', [model])], { root });
    me.replicator.apply(me.plan());
    while (!(me.replicator.progress()[0]?.note ?? '').includes('short')) await wait(5);
    rmSync(join(root, 'filler'));
    await complete(me.store, model.path);
    expect(holds(root, model)).toBe(true);
  });

  it('that fills up midway stops the copy, and the part is resumed when there is room', async () => {
    const root = smallRoot();
    const model = makeModel('a', [makeBlob(8 * MIB)]);
    const me = await standby([await source('gpu1', [model])], { root });
    me.transfer.setLimit(4 * MIB);
    me.replicator.apply(me.plan());
    while ((me.replicator.progress()[0]?.doneBytes ?? 0) < 2 * MIB) await wait(5);
    writeFileSync(join(root, 'filler'), Buffer.alloc(9 * MIB));
    while (!(me.replicator.progress()[0]?.note ?? '').includes('disk')) await wait(5);
    expect(me.replicator.progress()[0]?.phase).toBe('waiting');
    rmSync(join(root, 'filler'));
    me.transfer.setLimit(0);
    await complete(me.store, model.path);
    expect(holds(root, model)).toBe(true);
    expect(me.events.join()).not.toContain('replication_failed');
  });
});
