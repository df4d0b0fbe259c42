// docs/commands.md names every command, and nothing that does not exist.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { registry } from '../../src/cli/registry.ts';
import { agentctl } from './run.ts';

const page = readFileSync(new URL('../../docs/commands.md', import.meta.url), 'utf8');
const rows = page.split('\n').filter((line) => line.startsWith('| `agentctl '));
const documented = new Set(rows.flatMap((row) => [...row.matchAll(/`agentctl ([a-z]+)/g)].map((match) => match[1])));

test.each(registry.map((entry) => entry.name))('%s has its row', (name) => {
  expect(documented).toContain(name);
});

test('nothing is described that does not exist', async () => {
  const names = new Set([...registry.map((entry) => entry.name), 'completion']);
  expect([...documented].filter((name) => !names.has(name ?? ''))).toEqual([]);
  const { out } = await agentctl(['--help']);
  for (const name of documented) expect(out).toContain(`  ${name}`);
});

test('every option that a row shows is one of the command', async () => {
  for (const row of rows) {
    const shown = /^\| `agentctl ([a-z]+)( [a-z]+)?([^`]*)`/.exec(row);
    const flags = [...(shown?.[3] ?? '').matchAll(/--[a-z-]+/g)].map((match) => match[0]);
    if (shown === null || flags.length === 0) continue;
    const command = [shown[1] ?? '', ...(shown[2] === undefined ? [] : [shown[2].trim()])];
    const help = (await agentctl([...command, '--help'])).out;
    for (const flag of flags) expect(help, row).toContain(flag);
  }
});
