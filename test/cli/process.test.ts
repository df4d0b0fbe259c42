// agentctl as a real process: exit codes, pipes that close early, and what a shell completes.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

async function run(file: string, args: readonly string[], input = '', env = process.env): Promise<Ended> {
  return await new Promise((resolve) => {
    const child = execFile(file, [...args], { timeout: 15_000, env }, (error, out, err) => {
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

/** What a shell does at TAB, in a real one with its own completion system; it says what it made of the word. */
const atTab: Readonly<Record<string, (dir: string) => readonly string[]>> = {
  bash: (dir) => [
    '--norc',
    '-c',
    `source ${dir}/script; COMP_WORDS=(agentctl sta); COMP_CWORD=1; COMP_LINE='agentctl sta'; COMP_POINT=12; COMP_TYPE=9; $(complete -p agentctl | sed 's/.*-F \\([^ ]*\\).*/\\1/') agentctl sta agentctl; echo "agentctl \${COMPREPLY[*]}"`,
  ],
  zsh: (dir) => ['-f', `${dir}/tab.zsh`],
  fish: (dir) => ['--no-config', '-c', `source ${dir}/script; complete -C 'agentctl sta' | string replace -r '^' 'agentctl '`],
};

/** A terminal inside a terminal: zsh completes only where somebody types. */
const typed = (dir: string) => `zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PROMPT=; autoload -Uz compinit; compinit -D -u; source ${dir}/script; print DO''NE"
zpty -r z out '*DONE*'
zpty -w -n z $'agentctl sta\\t'
zpty -r z out '*agentctl status*'
print -r -- "$out"
zpty -d z
`;

test.each(['bash', 'zsh', 'fish'])(
  '%s completes a command at TAB by the script it is given',
  async (shell) => {
    const ran = await agentctl('completion', shell);
    expect(ran).toMatchObject({ code: 0, err: '' });
    const dir = mkdtempSync(join(tmpdir(), 'completion-'));
    writeFileSync(join(dir, 'agentctl'), `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`, { mode: 0o755 });
    writeFileSync(join(dir, 'script'), ran.out);
    writeFileSync(join(dir, 'tab.zsh'), typed(dir));
    const env = { ...process.env, PATH: `${dir}:${process.env.PATH}`, TERM: 'dumb' };
    const said = await run(shell, atTab[shell]?.(dir) ?? [], '', env);
    rmSync(dir, { recursive: true });
    expect(said.out, said.err).toContain('agentctl status');
  },
  20_000,
);

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
