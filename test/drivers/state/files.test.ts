// What outlives a process of the agent: boots, epochs, settings, the roster, the history.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HistoryEntry } from '../../../src/core/io.ts';
import { changed } from '../../../src/core/settings/record.ts';
import { NO_SETTINGS } from '../../../src/core/settings/types.ts';
import { openState } from '../../../src/drivers/state/files.ts';

const WALL = 1_800_000_000_000;
let dir: string;
let lines: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ohl-state-'));
  lines = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = (wallMs = WALL) =>
  openState({
    stateDir: join(dir, 'state'),
    runDir: join(dir, 'run'),
    node: 'a',
    wallMs,
    claim: { cluster: 'lab', driver: 'none', vip: null, redis: [] } as unknown as Parameters<typeof openState>[0]['claim'],
    log: (text) => lines.push(text),
  });
const entry = (epoch: number, over: Partial<HistoryEntry> = {}): HistoryEntry => ({
  epoch,
  from: 'a',
  to: 'b',
  cause: 'expired',
  reason: 'r',
  by: '',
  atMs: WALL,
  phasesMs: {},
  ...over,
});
const historyFile = () => readFileSync(join(dir, 'state', 'history.jsonl'), 'utf8');
const written = (count: number) => expect.poll(() => historyFile().split('\n').length - 1).toBe(count);

test('settings, roster, epoch and history come back with the next process, under a higher boot', async () => {
  const first = open();
  expect(first.saved).toEqual({ settings: NO_SETTINGS, roster: null, historyEpoch: 0, losses: [] });
  const settings = changed(NO_SETTINGS, { k: 'pause', paused: true, by: 'ann' });
  const roster = { epoch: 5, version: 2, nodes: ['a', 'b'] };
  first.port.persistEpoch(7);
  first.port.persistSettings(settings);
  first.port.persistRoster(roster);
  first.port.appendHistory(entry(5));
  await written(1);
  const second = open(WALL - 1000);
  expect(second.boot).toBe(first.boot + 1);
  expect(second.epochOnDisk).toBe(7);
  expect(second.saved).toMatchObject({ settings, roster, historyEpoch: 5 });
  expect(second.history()).toEqual([entry(5)]);
});

test('a file of an earlier version, and one with damaged parts, keep boot and epoch', () => {
  open();
  const path = join(dir, 'state', 'state.json');
  writeFileSync(path, JSON.stringify({ boot: WALL + 5, epoch: 9 }));
  expect(open()).toMatchObject({ boot: WALL + 6, epochOnDisk: 9, saved: { settings: NO_SETTINGS, roster: null } });
  writeFileSync(
    path,
    JSON.stringify({ boot: WALL + 7, epoch: 9, settings: { version: 'x' }, roster: { epoch: 1, version: 1, nodes: [5] } }),
  );
  expect(open()).toMatchObject({ boot: WALL + 8, epochOnDisk: 9, saved: { settings: NO_SETTINGS, roster: null } });
  expect(lines).toEqual([]);
  writeFileSync(path, '{"boot":');
  expect(open()).toMatchObject({ epochOnDisk: 0 });
  expect(lines).toEqual([expect.stringContaining('damaged')]);
});

test('lines that Redis remembers are joined to the own ones, each event once, in order', async () => {
  const first = open();
  first.port.appendHistory(entry(5));
  first.learnHistory([entry(3), entry(4), entry(5, { reason: 'told otherwise' })]);
  const missed = entry(5, { cause: 'missed', reason: 'too late', atMs: WALL + 1 });
  first.port.appendHistory(missed);
  first.port.appendHistory(missed);
  expect(first.history()).toEqual([entry(3), entry(4), entry(5), missed]);
  await written(4);
  expect(open().history()).toEqual([entry(3), entry(4), entry(5), missed]);
});

test('losses of the role that nobody ordered count from before the crash', async () => {
  const first = open();
  first.learnHistory([
    entry(1, { atMs: WALL - 2_000_000 }),
    entry(2, { atMs: WALL - 20_000 }),
    entry(3, { atMs: WALL - 10_000, cause: 'planned' }),
    entry(4, { atMs: WALL - 5000, from: 'b', to: 'a', cause: 'released' }),
    entry(5, { atMs: WALL + 60_000 }),
  ]);
  await written(5);
  expect(open().saved.losses).toEqual([
    { node: 'a', agoMs: 20_000 },
    { node: 'b', agoMs: 5000 },
  ]);
});
