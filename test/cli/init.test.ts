// agentctl init writes a file that works, and agentctl config tells whether a file does.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { agentctl, type RunOptions } from './run.ts';

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'init-'));
  file = join(directory, 'etc', 'agent.yaml');
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const three = ['--cluster', 'lab', '--nodes', 'gpu1=10.77.0.1,gpu2=10.77.0.2,gpu3=10.77.0.3'];
const vip = ['--vip', '10.77.0.100/24', '--interface', 'eth0'];
const two = ['--cluster', 'lab', '--nodes', 'gpu1=10.77.0.1,gpu2=fd00::2', '--witness', 'tiny=10.77.0.9'];

async function init(argv: readonly string[], options: RunOptions = {}) {
  return await agentctl(['init', '--config', file, '--secret-file', join(directory, 'secret'), ...argv], options);
}

describe('init', () => {
  test('writes a commented file that config check accepts', async () => {
    expect(await init(['--node', 'gpu1', ...three, ...vip])).toMatchObject({ code: 0, err: '' });
    const text = readFileSync(file, 'utf8').replaceAll(directory, '/DIR');
    await expect(text).toMatchFileSnapshot('snapshots/init-three.txt');
    expect(await agentctl(['config', 'check', file])).toEqual({
      code: 0,
      out: `${file}: ok\ngpu1 in cluster lab: candidate, carries 10.77.0.100/24, votes (managed Redis on port 11442); lease standard 2000/400/150 ms\n`,
      err: '',
    });
  });

  test('a witness gets neither ollama nor vip', async () => {
    expect((await init(['--node', 'tiny', ...two, ...vip, '--router-id', '12', '--preset', 'fast'])).code).toBe(0);
    await expect(readFileSync(file, 'utf8').replaceAll(directory, '/DIR')).toMatchFileSnapshot('snapshots/init-witness.txt');
    expect((await agentctl(['config', 'check', '--config', file])).out).toContain('tiny in cluster lab: witness, votes');
  });

  test('refuses to overwrite without --force', async () => {
    await init(['--node', 'gpu1', ...three, ...vip]);
    writeFileSync(file, 'mine');
    expect(await init(['--node', 'gpu1', ...three, ...vip])).toMatchObject({ code: 1, err: expect.stringContaining('add --force') });
    expect(readFileSync(file, 'utf8')).toBe('mine');
    expect((await init(['--node', 'gpu1', ...three, ...vip, '--force'])).code).toBe(0);
    expect(readFileSync(file, 'utf8')).toContain('gpu3');
  });

  test('two nodes without a witness are explained, and nothing is written', async () => {
    const ran = await init(['--node', 'gpu1', '--cluster', 'lab', '--nodes', 'gpu1=10.0.0.1,gpu2=10.0.0.2', '--vip', 'none']);
    expect(ran.code).toBe(1);
    expect(ran.err).toContain('two votes cannot outlive the loss of one');
    expect(existsSync(file)).toBe(false);
  });

  test('--secret makes a secret of 64 digits for its owner only, and never replaces one', async () => {
    const secret = join(directory, 'secret');
    await init(['--node', 'gpu1', ...three, ...vip, '--secret']);
    expect(readFileSync(secret, 'utf8')).toMatch(/^[0-9a-f]{64}\n$/);
    expect(statSync(secret).mode & 0o777).toBe(0o600);
    const before = readFileSync(secret, 'utf8');
    await init(['--node', 'gpu1', ...three, ...vip, '--secret', '--force']);
    expect(readFileSync(secret, 'utf8')).toBe(before);
  });

  test('without a terminal every missing option is named at once', async () => {
    expect(await init([])).toMatchObject({ code: 64, err: expect.stringContaining('--cluster NAME --nodes ID=ADDRESS,... --vip') });
  });

  test('on a terminal it asks for what no option says', async () => {
    const answers = ['gpu1', 'home', 'gpu1=10.0.0.1,gpu2=10.0.0.2', 'pi=10.0.0.3', '10.0.0.50/24', 'enp1s0', '', 'y'];
    expect(await init([], { isTty: true, answers })).toMatchObject({ code: 0, err: '' });
    const text = readFileSync(file, 'utf8');
    for (const part of ['name: home', '{ id: pi, address: 10.0.0.3 }', 'interface: enp1s0', 'virtualRouterId: 77'])
      expect(text).toContain(part);
    expect(existsSync(join(directory, 'secret'))).toBe(true);
  });

  test('ids that YAML would read as something else are quoted', async () => {
    const nodes = '1=10.0.0.1,true=10.0.0.2,null=10.0.0.3';
    expect((await init(['--node', '1', '--cluster', '1e3', '--nodes', nodes, '--vip', 'none'])).code).toBe(0);
    expect((await agentctl(['config', 'check', file])).out).toContain('1 in cluster 1e3');
  });
});

describe('config', () => {
  test('check lists every problem with its place and what to do, and ends with 1', async () => {
    const bad = join(directory, 'bad.yaml');
    writeFileSync(bad, 'node: { id: gpu1 }\ncluster:\n  name: Lab\n  nodes: [{ id: gpu1, address: 10.0.0.1 }]\nlease:\n  presett: fast\n');
    const ran = await agentctl(['config', 'check', bad]);
    expect(ran.code).toBe(1);
    expect(ran.err.replaceAll(bad, 'bad.yaml')).toBe(
      [
        'agentctl: the configuration has 2 problems: bad.yaml',
        '  bad.yaml:3:3: cluster.name: must be a DNS label: small letters, digits and inner hyphens, at most 63, found "Lab"',
        '    Try: Name of the cluster, a DNS label; part of every certificate and of the Redis key.',
        '  bad.yaml:6:3: lease.presett: unknown key',
        '    Try: did you mean preset?',
        '',
      ].join('\n'),
    );
    const { error } = JSON.parse((await agentctl(['config', 'check', bad, '--json'])).out);
    expect(error.problems).toHaveLength(2);
    expect(error.problems[1]).toMatchObject({ path: 'lease.presett', line: 6, column: 3 });
  });

  test('a missing file is one line', async () => {
    expect(await agentctl(['config', 'check', '/nonexistent.yaml'])).toEqual({
      code: 1,
      out: '',
      err: 'agentctl: there is no such file: /nonexistent.yaml\nTry: agentctl init writes one; --config names another\n',
    });
  });

  test('show prints what is set, with --defaults what is in effect, overrides of the environment included', async () => {
    await init(['--node', 'gpu1', ...three, ...vip]);
    const env = { OLLAMA_HA_LEASE__PRESET: 'fast' };
    const set = await agentctl(['config', 'show', '--config', file], { env });
    const all = await agentctl(['config', 'show', '--defaults', '--config', file, '--json'], { env });
    expect(set.out).toContain('preset: fast');
    expect(set.out).not.toContain('ttlMs');
    expect(JSON.parse(all.out)).toMatchObject({
      lease: { preset: 'fast', ttlMs: 900, pollMs: 100 },
      ports: { peer: 11440 },
      vip: { fence: 'required' },
    });
  });
});
