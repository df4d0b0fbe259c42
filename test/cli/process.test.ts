// agentctl as a real process: exit codes, pipes that close early, and what a shell completes.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { type FakeControl, startFakeControl } from './fake-control.ts';

const program = fileURLToPath(new URL('program.ts', import.meta.url));
let fake: FakeControl | undefined;

afterEach(() => {
  fake?.stop();
  fake = undefined;
});

type Ended = { readonly code: number; readonly out: string; readonly err: string };

async function run(file: string, args: readonly string[], input = ''): Promise<Ended> {
  return await new Promise((resolve) => {
    const child = execFile(file, [...args], { timeout: 15_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
    });
    child.stdin?.end(input);
  });
}

const agentctl = async (...argv: string[]) => await run(process.execPath, [program, ...argv]);

test('the process ends by itself, with the code of the cluster', async () => {
  fake = await startFakeControl();
  expect(await agentctl('status', '--socket', fake.socket)).toMatchObject({ code: 0, err: '', out: expect.stringContaining('*gpu1') });
  expect((await agentctl('status', '--socket', '/nonexistent')).code).toBe(4);
});

test('a reader that leaves early is no error', async () => {
  const child = spawn(process.execPath, [program, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let err = '';
  child.stderr.on('data', (text) => {
    err += text;
  });
  const [code] = await once(child, 'close');
  expect([code, err]).toEqual([0, '']);
});

test.each(['bash', 'zsh', 'fish'])('completion prints a script for %s that calls agentctl back', async (shell) => {
  const ran = await agentctl('completion', shell);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect(ran.out).toContain('agentctl complete --');
  if (shell === 'bash') expect(await run('bash', ['-n'], ran.out)).toMatchObject({ code: 0, err: '' });
});

test('a shell nobody knows is a usage error', async () => {
  expect((await agentctl('completion', 'tcsh')).code).toBe(64);
});

test.each([
  ['a command', ['st'], ['status']],
  ['a subcommand', ['pki', 'i'], ['init', 'issue']],
  ['an option', ['switchover', '--dr'], ['--dry-run']],
  ['the values of an option', ['init', '--preset', ''], ['ultra', 'fast', 'standard', 'relaxed']],
])('completes %s', async (_name, words, expected) => {
  const ran = await agentctl('complete', '--', ...words);
  const values = ran.out
    .split('\n')
    .filter((line) => line.includes('\t'))
    .map((line) => line.split('\t')[0]);
  expect(values).toEqual(expected);
});
