// The URL mode of `make conformance`, against a fake in a process of its own.
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeModel } from '../../fake-ollama/store.ts';
import { askServer, type Finding, type Findings } from './live/ask.ts';
import { recordedNames } from './recordings.ts';
import { tempStore } from './world.ts';

const root = join(import.meta.dirname, '../../..');
let store: string;
const ends: (() => void)[] = [];
beforeEach(() => {
  store = tempStore();
});
afterEach(() => {
  for (const end of ends.splice(0)) end();
  rmSync(store, { recursive: true });
});

/** Starts the fake as a program on the store; gives its URL. */
async function startProgram(args: readonly string[] = []): Promise<string> {
  const child = spawn(process.execPath, [join(root, 'test/fake-ollama/main.ts'), '--port', '0', '--store', store, ...args], {
    env: { ...process.env, OLLAMA_HOST: '127.0.0.1' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  ends.push(() => void child.kill('SIGTERM'));
  const line = await new Promise<string>((settle) => child.stdout.on('data', (bytes) => settle(String(bytes))));
  const url = `http://127.0.0.1:${/:(\d+) \(version/.exec(line)?.[1]}`;
  await (await fetch(url)).text();
  return url;
}

/** Every entry of the store: path, mode, time of change, and a hash of its bytes. */
function fingerprint(): readonly string[] {
  const all = readdirSync(store, { recursive: true, encoding: 'utf8' }).sort();
  return all.map((path) => {
    const file = join(store, path);
    const { mode, mtimeMs, isDirectory } = { ...statSync(file), isDirectory: statSync(file).isDirectory() };
    return `${path} ${mode} ${mtimeMs} ${isDirectory ? '' : createHash('sha256').update(readFileSync(file)).digest('hex')}`;
  });
}

function names({ findings }: Findings, k: Finding['k']): readonly string[] {
  return findings.filter((finding) => finding.k === k).map((finding) => finding.name);
}

function why({ findings }: Findings, name: string): string {
  const finding = findings.find((each) => each.name === name);
  return finding?.k === 'not asked' ? finding.why : '';
}

it('asks a server with one small model, finds nothing different, and leaves store and memory as they were', async () => {
  writeModel(store, 'other/thing:v1', { text: 'one two three four five six seven eight nine ten eleven' });
  const url = await startProgram();
  const before = fingerprint();
  const result = await askServer(url, null);
  expect(result.findings.filter((finding) => finding.k === 'differs')).toEqual([]);
  expect(result.subject).toMatchObject({ model: 'other/thing:v1', own: true });
  expect(result.changed).toEqual([]);
  expect(fingerprint()).toEqual(before);
  expect(await (await fetch(`${url}/api/ps`)).json()).toEqual({ models: [] });
  expect(names(result, 'same').length).toBeGreaterThanOrEqual(80);
  expect(result.findings.map((finding) => finding.name).sort()).toEqual([...recordedNames()].sort());
  expect(why(result, 'create-tiny')).toBe('it changes the store');
  expect(why(result, 'embed-ok')).toBe('other/thing:v1 does not embed');
});

it('asks the model that is loaded, with its context, and does not unload it', async () => {
  writeModel(store, 'small', { seed: 1 });
  writeModel(store, 'sees', { seed: 2, projectorBytes: 50_000 });
  const url = await startProgram();
  const body = JSON.stringify({ model: 'sees', keep_alive: '1h', options: { num_ctx: 1234 } });
  await (await fetch(`${url}/api/generate`, { method: 'POST', body })).text();
  const result = await askServer(url, null);
  expect(result.findings.filter((finding) => finding.k === 'differs')).toEqual([]);
  expect(result.changed).toEqual([]);
  expect(result.subject).toMatchObject({ model: 'sees:latest', own: false, numCtx: 1234 });
  expect(names(result, 'same')).toContain('generate-image');
  expect(why(result, 'v1-chat-image')).toContain('might reload it');
  expect(why(result, 'generate-unload')).toContain('was loaded before');
  expect((await askServer(url, 'small')).subject).toContain('might cost it its place');
});

it('reports an answer that differs, prints one line for each recording, and ends with 1', async () => {
  const url = await startProgram(['--fault', '{"httpError":{"path":"/api/show","status":418,"error":"no"}}']);
  const program = join(import.meta.dirname, 'conformance-main.ts');
  const [code, out] = await new Promise<readonly [unknown, string]>((settle) =>
    execFile(process.execPath, [program], { env: { ...process.env, OLLAMA: url, MODEL: '' } }, (error, text) =>
      settle([error?.code, text]),
    ),
  );
  expect(code).toBe(1);
  expect(out).toContain('DIFFERS    show-missing');
  expect(out).toContain('not asked  generate-stream: there is no model that speaks');
  expect(out).toMatch(/\d+ as recorded, 2 differ, \d+ not asked, of \d+/);
});
