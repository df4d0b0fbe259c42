// Every agentctl line of the pages for operators names commands and options that exist; those that make files are run. The Chinese pages have the
// commands of the English ones.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { registry } from '../../src/cli/registry.ts';
import { agentctl } from './run.ts';

const docs = new URL('../../docs/', import.meta.url);
const text = (page: string) => readFileSync(new URL(page, docs), 'utf8');
const pages = ['installation.md', 'security.md', 'runbooks.md', 'quickstart.md', 'quickstart.zh.md', '../README.zh.md', 'ui.md'];
const words = (line: string) => line.trim().split(/\s+(?![^(]*\))/);

/** Lines of code blocks, and what stands in backquotes. */
function linesOf(page: string): readonly string[] {
  const blocks = [...text(page).matchAll(/^ {4,}(agentctl [^\n]*(?:\\\n[^\n]*)*)/gm)].map((match) => match[1] ?? '');
  const inline = [
    ...text(page)
      .replaceAll('\n', ' ')
      .matchAll(/`(agentctl [a-z][^`]*)`/g),
  ].map((match) => match[1] ?? '');
  return [...blocks, ...inline].map((line) => line.replaceAll(/\\\n\s*/g, '').replace(/\s+(#|>).*$/, ''));
}

describe.each(pages)('%s', (page) => {
  test.each(linesOf(page))('%s', async (line) => {
    const [, name = '', second = '', ...rest] = words(line);
    expect(registry.map((entry) => entry.name)).toContain(name);
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
  const lines = ['quickstart.md', 'quickstart.zh.md', 'comparison.md', '../README.zh.md'].flatMap((page) =>
    [...text(page).matchAll(/^ {4}make ([a-z-]+)([^#\n]*)/gm)].map(([, target = '', rest = '']) => ({ page, target, rest })),
  );
  expect(lines.length).toBeGreaterThan(10);
  for (const { page, target, rest } of lines) {
    const program = new URL(`../test/bench/${target.replace('bench-', '')}.ts`, docs);
    const isBench = target.startsWith('bench-') && existsSync(program);
    const about = isBench ? readFileSync(program, 'utf8') : (new RegExp(`^${target}: .*$`, 'm').exec(known)?.[0] ?? '');
    expect(about, `${page}: make ${target}`).not.toBe('');
    for (const [, name = ''] of rest.matchAll(/([A-Z_]+)=/g)) expect(about, `${page}: ${name}`).toContain(name);
  }
});

test('the index of the documentation names every page', () => {
  const index = text('README.md');
  const names = readdirSync(docs).filter((name) => name.endsWith('.md') && name !== 'README.md');
  expect(names.filter((name) => !index.includes(`](${name})`))).toEqual([]);
});
