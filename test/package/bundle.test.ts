// The packed program needs no file beside it: its threads, its Lua and its pages are inside.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bundle, bundleProgram } from '../../deploy/build/bundle.ts';

const directory = mkdtempSync(join(tmpdir(), 'bundle-'));
let bundle: Bundle;

beforeAll(async () => {
  bundle = await bundleProgram();
  writeFileSync(join(directory, 'program.cjs'), bundle.text);
}, 120_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('it runs from an empty directory', () => {
  const said = execFileSync(process.execPath, ['program.cjs', 'agentctl', 'version'], { cwd: directory, encoding: 'utf8' });
  expect(said).toContain('agentctl 0.');
});

test('the programs of the threads, the Lua scripts and the status page are part of it', () => {
  const threads = [...bundle.text.matchAll(/new URL\("data:text\/javascript;base64,([A-Za-z0-9+/=]+)"\)/g)].map((match) =>
    Buffer.from(match[1] ?? '', 'base64').toString(),
  );
  // The store's; the serving and the receiving one, which holds the hashing one.
  expect(threads.length).toBeGreaterThanOrEqual(3);
  expect(threads.filter((text) => text.includes('data:text/javascript;base64,'))).toHaveLength(1);
  expect(bundle.text).toContain("redis.call('HMGET'");
  expect(bundle.text).toContain('<h2>Active node</h2>');
});

test('every npm package in it is known, for its licence', () => {
  expect(bundle.packages).toEqual(expect.arrayContaining(['@grpc/grpc-js', 'ioredis', 'zod']));
});
