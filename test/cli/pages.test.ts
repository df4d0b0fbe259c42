// Every agentctl line of the pages for operators names commands and options that exist; those that make files are run. The Chinese pages have the
// commands of the English ones.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, describe, expect, test } from 'vitest';
import { wholeProgram } from '../../src/cli/main.ts';
import { registry } from '../../src/cli/registry.ts';
import { docs, isForm, linesOf, pages, textOf as text, wordsOf as words } from './doc-lines.ts';
import { agentctl } from './run.ts';

/** `agentctl pki` in a sentence: the name of a command, whose subcommands or required options the sentence leaves out. */
const isName = (line: string) =>
  words(line)
    .slice(1)
    .every((word) => !word.startsWith('-')) && words(line).length <= 3;

/** The line's words, as commander takes them, without doing anything. */
async function parsed(line: string): Promise<string> {
  const silent = { out: () => undefined, err: () => undefined, env: {}, isTty: false, columns: 100 };
  const program = await wholeProgram(silent);
  const still = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: () => undefined, writeOut: () => undefined });
    if (command.commands.length === 0 || command.name() === 'fence') command.action(() => undefined);
    for (const inner of command.commands) still(inner);
  };
  still(program);
  return await program.parseAsync(words(line).slice(1), { from: 'user' }).then(
    () => '',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

// These stand for values: N, S, D, TIME and BYTES in texts that name an option.
const placeholder = /\s(N|S|D|TIME|BYTES|PART|SHELL|LEVEL)\b/;

describe.each(pages.filter((page) => linesOf(page).length > 0))('%s', (page) => {
  test.each(linesOf(page))('%s', async (line) => {
    if (!isForm(line) && !placeholder.test(line) && !isName(line)) {
      const problem = await parsed(line);
      // A sentence may leave out what is required besides; a line of a block may not.
      if (problem === '' || !/^error: required option/.test(problem) || text(page).includes(`    ${line}\n`))
        return expect(problem).toBe('');
    }
    const [, name = '', second = '', ...rest] = words(line);
    expect([...registry.map((entry) => entry.name), 'completion']).toContain(name);
    const nested = await agentctl([name, second, '--help']);
    const isCommand = /^[a-z-]+$/.test(second) && nested.code === 0 && nested.out.startsWith(`Usage: agentctl ${name} ${second}`);
    const help = isCommand ? nested.out : (await agentctl([name, '--help'])).out;
    for (const flag of [second, ...rest].filter((word) => word.startsWith('-'))) expect(help).toContain(flag);
  });
});

describe('the installation, as its page tells it', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pages-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const here = (line: string) => line.replaceAll(/\/(root|etc)\//g, `${directory}/$1/`);

  test('certificates, then a configuration for each node that config check accepts', async () => {
    const all = linesOf('installation.md');
    for (const line of all.filter((candidate) => candidate.startsWith('agentctl pki'))) {
      expect(await agentctl(words(here(line)).slice(1)), line).toMatchObject({ code: 0, err: '' });
    }
    expect(existsSync(join(directory, 'root/ollama-ha-pki/witness/node.key'))).toBe(true);
    const inits = all.filter((candidate) => candidate.startsWith('agentctl init'));
    expect(inits).toHaveLength(2);
    for (const [at, line] of inits.entries()) {
      const config = join(directory, `agent-${at}.yaml`);
      expect(await agentctl([...words(line).slice(1), '--config', config]), line).toMatchObject({ code: 0, err: '' });
      expect(await agentctl(['config', 'check', config]), line).toMatchObject({
        code: 0,
        out: expect.stringContaining('carries 10.77.0.100/24'),
      });
    }
  });

  test('the CA is changed by the three lines of its page, in their order', async () => {
    const rotations = linesOf('security.md').filter((line) => line.startsWith('agentctl pki rotate --dir'));
    expect(rotations).toHaveLength(3);
    for (const line of rotations) expect(await agentctl(words(here(line)).slice(1)), line).toMatchObject({ code: 0, err: '' });
  });
});

test('the runbooks have the anchors that alerts link to', () => {
  const anchors = [...text('runbooks.md').matchAll(/<a id="([a-z-]+)">/g)].map((match) => match[1]);
  expect(anchors).toEqual(expect.arrayContaining(['node-died', 'split-brain', 'redis-lost', 'restore', 'replace-a-node', 'upgrade']));
});

/** What stands in code blocks, without its comments, and in backquotes. */
function codeOf(page: string): readonly string[] {
  const blocks = [...text(page).matchAll(/^ {4,}(\S[^\n]*)/gm)].map((match) => (match[1] ?? '').replace(/ +# .*$/, ''));
  // A list goes on in indented lines of prose; commands are lines of ASCII that begin with a program.
  const commands = blocks.filter((line) => /^(make|agentctl|apt-get|systemctl|ssh|--)/.test(line));
  const inline = [...text(page).matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
  return [...commands, ...inline];
}

test('the Chinese quickstart has the commands and names of the English one, and no others', () => {
  const [chinese, english] = ['quickstart.zh.md', 'quickstart.md'].map((page) => [...new Set(codeOf(page))].sort());
  expect(english?.length).toBeGreaterThan(20);
  expect(chinese).toEqual(english);
});

test('the Chinese README has no command that the English one has not', () => {
  const english = text('../README.md');
  const commands = codeOf('../README.zh.md').filter((line) => /^(make|agentctl) /.test(line));
  expect(commands.length).toBeGreaterThan(4);
  for (const command of commands) expect(english.replaceAll('\n', ' ')).toContain(command);
});

test('every make line names a target and variables that exist', () => {
  const known = text('../Makefile');
  // The simulator's programs take more from the environment than the help of make has room for.
  const simulator = text('../test/sim/main.ts');
  const inHelp = (name: string) => (known.includes(`[${name}=`) || simulator.includes(`env.${name}`) ? name : '');
  const lines = pages.flatMap((page) =>
    [...text(page).matchAll(/^ {4}make ([a-z-]+)([^#\n]*)/gm)].map(([, target = '', rest = '']) => ({ page, target, rest })),
  );
  expect(lines.length).toBeGreaterThan(10);
  for (const { page, target, rest } of lines) {
    const program = new URL(`../test/bench/${target.replace('bench-', '')}.ts`, docs);
    const isBench = target.startsWith('bench-') && existsSync(program);
    const about = isBench ? readFileSync(program, 'utf8') : (new RegExp(`^${target}: .*$`, 'm').exec(known)?.[0] ?? '');
    expect(about, `${page}: make ${target}`).not.toBe('');
    for (const [, name = ''] of rest.matchAll(/([A-Z_]+)=/g)) expect(about + inHelp(name), `${page}: ${name}`).toContain(name);
  }
});

// Programs of the system that pages tell an operator to type; no test can run them on this machine as they stand.
const others = ['apt-get', 'arping', 'chmod', 'chown', 'grpcurl', 'haproxy', 'install', 'ip', 'scp', 'ssh', 'systemctl'];

// First words of what `agentctl status` prints, in transcripts.
const printed = ['cluster', 'vip', 'keepalived', 'redis', 'ollama', 'asked'];

test('every other line of the pages begins with a program that is known here', () => {
  const found = pages.flatMap((page) =>
    [...text(page).matchAll(/^ {4}([a-z][a-z-]*) [^\n]*$/gm)]
      .filter(([line, first = '']) => /^ {4}[a-z-]+ [-a-z0-9./]/.test(line) && !['agentctl', 'make', ...others, ...printed].includes(first))
      .map(([line]) => `${page}: ${line.trim()}`),
  );
  expect(found).toEqual([]);
});

test('the index of the documentation names every page', () => {
  const index = text('README.md');
  const names = readdirSync(docs).filter((name) => name.endsWith('.md') && name !== 'README.md');
  expect(names.filter((name) => !index.includes(`](${name})`))).toEqual([]);
});
