// Every agentctl line of the pages, typed on a cluster of three as it stands; where a file or a model of the page does not exist here, one that does.
// A line that another test runs is named with that test. So a page cannot show a command that nobody has run.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isForm, linesOf, pages, wordsOf } from '../cli/doc-lines.ts';
import { writeModel } from '../fake-ollama/store.ts';
import { waitHealthy } from '../lab/cluster.ts';
import type { CtlOutcome, Host } from '../lab/host.ts';
import type { Lab } from '../lab/lab.ts';
import { createProductLab } from '../lab/product-lab.ts';

// A pixel.
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const scratch = mkdtempSync(join(tmpdir(), 'doc-commands-'));
const typed = new Set<string>();
let lab: Lab;

beforeAll(async () => {
  lab = await createProductLab({ id: 'doccmd', nodes: 3, preset: 'fast', config: { replication: { reserveBytes: 0 } } });
  const active = await holder();
  writeModel(join(active.plan.dataDir, 'models'), 'llama3.2:1b', { seed: 'a' });
  writeModel(join(active.plan.dataDir, 'models'), 'llava', { seed: 'b', projectorBytes: 10_000 });
  writeFileSync(join(scratch, 'cat.png'), Buffer.from(png, 'base64'));
}, 60_000);
afterAll(async () => {
  await lab?.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

async function holder(): Promise<Host> {
  return lab.host((await waitHealthy(lab)).holder);
}

async function standby(not = ''): Promise<Host> {
  const { holder: name } = await waitHealthy(lab);
  const one = lab.hosts.find((host) => host.name !== name && host.name !== not);
  if (one === undefined) throw new Error('a standby');
  return one;
}

/** Types a line of the pages on a host; `more` only shortens it. */
async function type(host: Host, line: string, more: readonly string[] = []): Promise<CtlOutcome> {
  typed.add(line);
  const here = wordsOf(line)
    .slice(1)
    .map((word) => word.replace(/^\/tmp\/|^(?=bench\.svg$|cat\.png$)/, `${scratch}/`))
    .filter((word) => word !== '/etc/ollama-ha/agent.yaml');
  return await host.agentctl([...here, ...more], { timeoutMs: 60_000 });
}

async function expectDone(host: Host, line: string, more: readonly string[] = []): Promise<string> {
  const out = await type(host, line, more);
  expect(out.code, `${line}: ${out.stdout}${out.stderr}`).toBe(0);
  return out.stdout;
}

test('what only looks', async () => {
  const host = await standby();
  // Not 0 while the new models are on their way.
  await expect.poll(async () => (await type(host, 'agentctl status')).code, { timeout: 20_000 }).toBe(0);
  for (const line of [
    'agentctl status --json',
    'agentctl history',
    'agentctl history -n 3',
    'agentctl redis status',
    'agentctl models',
    'agentctl replication status',
    'agentctl alerts list',
    'agentctl config check',
    'agentctl config check /etc/ollama-ha/agent.yaml',
    'agentctl config show --defaults',
    'agentctl fence render',
    'agentctl keepalived render',
    'agentctl version',
  ])
    expect(await expectDone(host, line), line).not.toBe('');
  // 1 says that it may not take over, as a holder may not.
  const explained = await type(host, 'agentctl explain gpu2');
  expect([explained.code <= 1, explained.stdout]).toEqual([true, expect.stringMatching(/^gpu2 may /)]);
});

test('the doctor, whole, in part, and compared with another host', async () => {
  const host = await holder();
  const json = await type(host, 'agentctl doctor --json');
  expect(json.json).not.toBeNull();
  writeFileSync(join(scratch, 'gpu1.json'), json.stdout);
  for (const line of ['agentctl doctor', 'agentctl doctor --only vip', 'agentctl doctor --compare /tmp/gpu1.json']) {
    const out = await type(host, line);
    // 0 to 2 are findings by their weight; more would be a doctor that does not run.
    expect([0, 1, 2], `${line}: ${out.stderr}`).toContain(out.code);
    expect(out.stdout).toMatch(/vip/);
  }
}, 60_000);

test('the log, replication and the store', async () => {
  const host = await standby();
  for (const line of [
    'agentctl log level debug --for 10m',
    'agentctl log level default',
    'agentctl replication limit 50M',
    'agentctl replication now',
    'agentctl replication pause',
    'agentctl verify',
    'agentctl verify --repair',
  ])
    await expectDone(host, line);
  await host.agentctl(['replication', 'resume']);
  expect((await type(host, 'agentctl alerts test')).stderr).toContain('channel');
});

test('a load through the address, with a plot and with an image', async () => {
  const host = await standby();
  const few = ['--requests', '3'];
  await expectDone(host, 'agentctl bench http://10.77.0.100:11434 --model llama3.2:1b', few);
  await expectDone(host, 'agentctl bench http://10.77.0.100:11434 --model llama3.2:1b --plot bench.svg', few);
  expect(readFileSync(join(scratch, 'bench.svg'), 'utf8')).toContain('<svg');
  const json = await type(host, 'agentctl bench http://10.77.0.100:11434 --model llava --image cat.png --threads 4 --requests 20 --json');
  expect([json.code, json.json]).toMatchObject([0, {}]);
}, 60_000);

test('moves: planned, to a node, drained and back, by force, and a node that leaves', async () => {
  const any = await standby();
  for (const line of ['agentctl pause', 'agentctl resume', 'agentctl maintenance on', 'agentctl maintenance off'])
    await expectDone(any, line, line.startsWith('agentctl m') ? [any.name] : ['--wait']);
  expect(await expectDone(any, 'agentctl completion bash')).toContain('agentctl');
  await expectDone(await holder(), 'agentctl switchover');
  const from = await holder();
  if (from.name === 'gpu1') await from.agentctl(['switchover', '--to', 'gpu3']);
  // Straight back would be refused: a former holder waits for a second.
  await expect.poll(async () => (await type(await standby('gpu1'), 'agentctl switchover --to gpu1')).code, { timeout: 20_000 }).toBe(0);
  expect((await waitHealthy(lab)).holder).toBe('gpu1');
  await expectDone(lab.host('gpu1'), 'agentctl drain', ['--deadline', '1s']);
  expect((await waitHealthy(lab)).holder).not.toBe('gpu1');
  await expectDone(lab.host('gpu1'), 'agentctl undrain');
  expect((await type(lab.host('gpu1'), 'agentctl switchover --cancel')).code).toBeLessThan(3);
  // By force is refused while somebody holds the lease.
  const forced = await type(lab.host('gpu1'), 'agentctl failover --force --to gpu2');
  expect([forced.code, forced.stderr + forced.stdout]).toMatchObject([1, expect.stringContaining('gpu')]);
  if ((await holder()).name === 'gpu2') await expectDone(await holder(), 'agentctl switchover');
  await waitHealthy(lab);
  await expectDone(lab.host('gpu2'), 'agentctl leave');
  await lab.host('gpu2').service('agent').stop();
  await expectDone(await oneOf('gpu1', 'gpu3'), 'agentctl forget gpu2');
  await expectDone(lab.host('gpu2'), 'agentctl fence --local');
}, 120_000);

async function oneOf(...names: readonly string[]): Promise<Host> {
  const status = await lab.host(names[0] ?? '').agentctl(['status', '--json']);
  const { holder: name } = status.json as { holder: string };
  return lab.host(names.find((each) => each !== name) ?? name);
}

// Lines that other tests run as they stand or, where they would wait for a person or need what only that test has, in the same form.
const elsewhere: Readonly<Record<string, string>> = {
  'agentctl drill freeze --yes': 'drill.root.test.ts',
  'agentctl drill kill-agent --yes': 'drill.root.test.ts',
  'agentctl drill partition --yes': 'drill.root.test.ts',
  'agentctl drill freeze': 'drill.root.test.ts',
  'agentctl models restore llama3.2': 'replication.root.test.ts',
  'agentctl replication accept-deletes': 'replication.root.test.ts',
  'agentctl models --watch': '../cli/replication.test.ts',
  'agentctl bench': '../cli/bench.test.ts',
  'agentctl init': '../cli/init.test.ts',
  'agentctl keepalived check': '../cli/keepalived.test.ts',
  'agentctl keepalived install': '../cli/keepalived.test.ts',
  'agentctl pki': '../cli/pki.test.ts',
  'agentctl pki init': '../cli/pki.test.ts',
  'agentctl pki issue --node edge': '../cli/pki.test.ts',
  'agentctl pki issue --renew': '../cli/pki.test.ts',
  'agentctl pki issue --dir /root/ollama-ha-pki --operator ann --out /root/ollama-ha-pki/ann': '../cli/pki.test.ts',
};

// These words stand for values that only the reader knows.
const hasPlaceholder = (line: string) => /\s(N|S|D|NODE|NAME|FILE|TIME|BYTES|PART|SHELL|LEVEL|DIRECTORY)\b/.test(line);

test('no page shows a line that nobody runs', () => {
  const shown = new Map(pages.flatMap((page) => linesOf(page).map((line) => [line, page] as const)));
  // pages.test.ts runs these two pages' lines of certificates and of init.
  const ofInstallation = new Set(
    [...linesOf('installation.md'), ...linesOf('security.md')].filter((line) =>
      /^agentctl (pki (init|issue|rotate) --|init --node)/.test(line),
    ),
  );
  const run = (line: string) => typed.has(line) || ofInstallation.has(line) || elsewhere[line] !== undefined;
  const missing = [...shown].filter(([line]) => !isForm(line) && !hasPlaceholder(line) && !run(line));
  expect(missing).toEqual([]);
  // A form is as good as run when a line with its command is.
  const commandOf = (line: string) => /^agentctl [a-z]+(?: (?!on\\)[a-z-]+)?/.exec(line)?.[0].trim() ?? line;
  const commands = new Set(
    [...typed, ...ofInstallation, ...Object.keys(elsewhere)].flatMap((line) => [commandOf(line), wordsOf(line).slice(0, 2).join(' ')]),
  );
  const forms = [...shown.keys()].filter((line) => isForm(line) || hasPlaceholder(line));
  expect(forms.filter((line) => !commands.has(commandOf(line)) && !commands.has(wordsOf(line).slice(0, 2).join(' ')))).toEqual([]);
  for (const [line, file] of Object.entries(elsewhere)) {
    const path = new URL(file, import.meta.url);
    expect(existsSync(path), file).toBe(true);
    for (const word of wordsOf(line).slice(1, 3))
      if (/^[a-z-]+$/.test(word) && !word.startsWith('-')) expect(readFileSync(path, 'utf8'), `${file}: ${line}`).toContain(word);
  }
});
