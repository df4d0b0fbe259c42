// Whatever stands in the files of earlier processes: a start reads what is sound of it, and never fails by it. And history joins in any order.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { HistoryEntry } from '../../../src/core/io.ts';
import { openState } from '../../../src/drivers/state/files.ts';
import { takeHandOn } from '../../../src/drivers/state/handon.ts';
import { openReplicationFiles } from '../../../src/drivers/state/replication.ts';

const WALL = 1_800_000_000_000;

function within<T>(act: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'ohl-damage-'));
  try {
    return act(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const open = (dir: string) =>
  openState({
    stateDir: join(dir, 'state'),
    runDir: join(dir, 'run'),
    node: 'a',
    wallMs: WALL,
    claim: { cluster: 'lab', driver: 'none', vip: null, redis: [] },
    log: () => {},
  });

const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.json().map(Buffer.from));
const state = fc
  .record({ boot: fc.oneof(fc.nat(), fc.json()), epoch: fc.oneof(fc.nat(), fc.json()), settings: fc.jsonValue(), roster: fc.jsonValue() })
  .map((value) => Buffer.from(JSON.stringify(value)));

test('state, history, hand-on and the files of replication: any bytes', () => {
  fc.assert(
    fc.property(fc.oneof(bytes, state), bytes, (saved, other) => {
      within((dir) => {
        for (const sub of ['state', 'run']) mkdirSync(join(dir, sub));
        writeFileSync(join(dir, 'state', 'state.json'), saved);
        for (const name of ['history.jsonl', 'replication.json', 'scrub.json']) writeFileSync(join(dir, 'state', name), other);
        writeFileSync(join(dir, 'run', 'handon.json'), other);
        const files = open(dir);
        expect(files.boot).toBeGreaterThanOrEqual(WALL);
        expect(Number.isSafeInteger(files.epochOnDisk) && files.epochOnDisk >= 0).toBe(true);
        expect(files.saved.roster?.nodes.length ?? 0).toBeLessThanOrEqual(256);
        expect(takeHandOn(join(dir, 'run'), 'k', () => {})).toBeNull();
        openReplicationFiles(join(dir, 'state'));
      });
    }),
    { numRuns: 60 },
  );
});

const entries = fc
  .uniqueArray(fc.integer({ min: 1, max: 400 }), { maxLength: 300 })
  .map((epochs) =>
    epochs.map((epoch): HistoryEntry => ({ epoch, from: 'a', to: 'b', cause: 'expired', reason: 'r', by: '', atMs: epoch, phasesMs: {} })),
  );

test('history joins the same in whatever order, grouping and repetition', () => {
  fc.assert(
    fc.property(entries, entries, (a, b) => {
      const joined = (...parts: readonly (readonly HistoryEntry[])[]) =>
        within((dir) => {
          mkdirSync(join(dir, 'state'));
          const files = open(dir);
          for (const part of parts) files.learnHistory(part);
          return files.history();
        });
      const once = joined(a, b);
      expect(joined(b, a)).toEqual(once);
      expect(joined([...a, ...b])).toEqual(once);
      expect(joined(a, b, a, b)).toEqual(once);
    }),
    { numRuns: 15 },
  );
});
