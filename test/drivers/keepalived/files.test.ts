import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseFifoLine } from '../../../src/drivers/keepalived/fifo.ts';
import { openFiles } from '../../../src/drivers/keepalived/files.ts';
import { checkScript } from '../../../src/drivers/keepalived/script.ts';
import { deadlineCs, readUptimeMs } from '../../../src/drivers/keepalived/uptime.ts';

const deployed = new URL('../../../deploy/keepalived/vip-deadline', import.meta.url).pathname;
let root: string;
let dir: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ollama-ha-vip-'));
  dir = join(root, 'vip');
});
afterEach(() => rmSync(root, { recursive: true }));

const read = (name: string) => readFileSync(join(dir, name), 'utf8');
const files = (onRecreated = () => {}) => openFiles({ dir, now: () => 5000, uptimeMs: () => 100_010, onRecreated });

test('the deadline moves from the monotonic clock to that of /proc/uptime, rounded down', () => {
  expect(deadlineCs({ uptimeMs: 100_000, monoMs: 5000 }, 6950)).toBe(10_195);
  expect(deadlineCs({ uptimeMs: 100_000, monoMs: 5000.5 }, 6950)).toBe(10_194);
  // A host that slept for an hour: CLOCK_MONOTONIC stood still, uptime did not, so the same lease ends in the same time from now.
  expect(deadlineCs({ uptimeMs: 100_000 + 3_600_000, monoMs: 5000 }, 6950) - deadlineCs({ uptimeMs: 100_000, monoMs: 5000 }, 6950)).toBe(
    360_000,
  );
  expect(readUptimeMs()).toBeGreaterThan(0);
});

test('each file holds one line, is readable by everybody and leaves no temporary file', () => {
  const old = process.umask(0o077);
  try {
    const out = files();
    expect([out.deadline(6950), out.epoch(503), out.lease(true)]).toEqual([{ ok: true }, { ok: true }, { ok: true }]);
  } finally {
    process.umask(old);
  }
  expect([read('deadline'), read('epoch'), read('lease')]).toEqual(['10196\n', '3\n', '1\n']);
  expect(readdirSync(dir).toSorted()).toEqual(['deadline', 'epoch', 'lease']);
  expect(statSync(join(dir, 'lease')).mode & 0o777).toBe(0o644);
});

test('a rename, not a write in place, brings a new value', () => {
  const out = files();
  out.lease(true);
  const before = statSync(join(dir, 'lease')).ino;
  out.lease(false);
  expect(statSync(join(dir, 'lease')).ino).not.toBe(before);
  expect(read('lease')).toBe('0\n');
});

test('a replaced directory is reported once', () => {
  let times = 0;
  const out = files(() => {
    times += 1;
  });
  out.lease(true);
  rmSync(dir, { recursive: true });
  // Another directory takes the inode that became free, so that the new one differs.
  mkdirSync(join(root, 'other'));
  out.lease(true);
  out.lease(true);
  expect(times).toBe(1);
});

test('a place that cannot be written is a failure with its path', () => {
  execFileSync('touch', [join(root, 'file')]);
  const out = openFiles({ dir: join(root, 'file'), now: () => 0, onRecreated() {} }).lease(true);
  expect(out).toMatchObject({ ok: false });
  expect(JSON.stringify(out)).toContain(join(root, 'file/lease'));
});

test('the lines of the FIFO are read, and only those', () => {
  expect(parseFifoLine('INSTANCE "OLLAMA_VIP" MASTER 44')).toEqual({ instance: 'OLLAMA_VIP', state: 'MASTER', priority: 44 });
  expect(parseFifoLine('INSTANCE "OLLAMA_VIP" MASTER_PRIORITY 45')).toEqual({ instance: 'OLLAMA_VIP', state: '', priority: 45 });
  expect(parseFifoLine('GROUP "G" MASTER 0')).toBeNull();
  expect(parseFifoLine('')).toBeNull();
});

test('the dead-man script passes a standby and fails everything that is no limit in the future', () => {
  const run = (): number => {
    try {
      execFileSync(deployed, [dir], { stdio: 'pipe' });
      return 0;
    } catch (error) {
      return (error as { status: number }).status;
    }
  };
  expect(run()).toBe(0);
  const now = () => Number(process.hrtime.bigint()) / 1e6;
  const out = openFiles({ dir, now, onRecreated() {} });
  out.lease(false);
  expect(run()).toBe(0);
  out.lease(true);
  expect(run()).toBe(2);
  out.deadline(now() + 5000);
  expect(run()).toBe(0);
  out.deadline(now() - 20);
  expect(run()).toBe(1);
});

test('a script that others can replace, or that cannot run, is told', () => {
  expect(checkScript(join(root, 'nothing'))).toMatchObject({ ok: false });
  execFileSync('cp', [deployed, join(root, 'script')]);
  chmodSync(join(root, 'script'), 0o644);
  expect(checkScript(join(root, 'script'))).toMatchObject({ ok: false });
  chmodSync(join(root, 'script'), 0o777);
  expect(JSON.stringify(checkScript(join(root, 'script')))).toMatch(/written by others|owned by root/);
});
