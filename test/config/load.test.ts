// A configuration is either right, with every value filled in, or all that is wrong with it is said at once.
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadConfig, parseConfig } from '../../src/config/load.ts';
import { problemLine } from '../../src/config/problem.ts';
import { referenceText } from '../../src/config/reference.ts';
import type { Config } from '../../src/config/schema.ts';

const directory = mkdtempSync(join(tmpdir(), 'config-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const minimal = `
cluster:
  name: lab
  nodes:
    - { id: gpu1, address: 10.77.0.1 }
    - { id: gpu2, address: 10.77.0.2 }
    - { id: gpu3, address: 10.77.0.3 }
`;

function configOf(text: string, env: Record<string, string> = {}, host = 'gpu1'): Config {
  const result = parseConfig(text, 'agent.yaml', env, host);
  if ('problems' in result) throw new Error(result.problems.map(problemLine).join('\n'));
  return result.config;
}

function problemsOf(text: string, env: Record<string, string> = {}, host = 'gpu1'): readonly string[] {
  const result = parseConfig(text, 'agent.yaml', env, host);
  return 'problems' in result ? result.problems.map((problem) => `${problemLine(problem)} (${problem.hint})`) : [];
}

describe('a right file', () => {
  test('of a few lines has every other value filled in', async () => {
    await expect(`${JSON.stringify(configOf(minimal), null, 2)}\n`).toMatchFileSnapshot('snapshots/minimal.txt');
  });

  test('cannot be changed after loading', () => {
    const config = configOf(minimal);
    expect(() => Reflect.set(config.lease, 'ttlMs', 1)).not.toThrow();
    expect(config.lease.ttlMs).toBe(2000);
    expect(Object.isFrozen(config.cluster.nodes[0])).toBe(true);
  });

  test('takes its id from the host name up to the first dot, and its address from the list', () => {
    expect(configOf(minimal, {}, 'GPU2.example.org').node).toMatchObject({ id: 'gpu2', address: '10.77.0.2' });
  });

  test('has a capability as soon as its section stands there, even empty', () => {
    expect(configOf(`${minimal}ollama:\n`).ollama).toMatchObject({ url: 'http://127.0.0.1:11434', failures: 3 });
    expect(configOf(minimal).ollama).toBeNull();
  });

  test.each([
    ['ultra', 500, 100, 50, 100],
    ['fast', 900, 200, 100, 150],
    ['standard', 2000, 400, 150, 150],
    ['relaxed', 6000, 1000, 500, 150],
  ])('preset %s is %i/%i/%i and a command timeout of %i, and breaks no rule', (preset, ttlMs, renewMs, pollMs, commandTimeoutMs) => {
    const config = configOf(`${minimal}lease: { preset: ${preset} }\n`);
    expect(config.lease).toMatchObject({ ttlMs, renewMs, pollMs });
    expect(config.redis.commandTimeoutMs).toBe(commandTimeoutMs);
  });

  test('may override single values of a preset', () => {
    const config = configOf(`${minimal}lease: { preset: relaxed, ttlMs: 7000, pollMs: 300 }\nredis: { commandTimeoutMs: 600 }\n`);
    expect(config.lease).toMatchObject({ ttlMs: 7000, renewMs: 1000, pollMs: 300 });
    expect(config.redis.commandTimeoutMs).toBe(600);
  });

  test('the example of every section together is right', () => {
    const config = configOf(readFileSync(new URL('full.yaml', import.meta.url), 'utf8'));
    expect(config.vip).toMatchObject({ driver: 'keepalived', virtualRouterId: 77 });
    expect(config.redis.servers).toEqual([]);
  });
});

describe('the environment', () => {
  test('overrides the file, by path, whatever the case and the underscores of a key', () => {
    const env = {
      OLLAMA_HA_LEASE__PRESET: 'fast',
      OLLAMA_HA_LEASE__POLL_MS: '120',
      OLLAMA_HA_CLUSTER__NODES__0__ADDRESS: '10.9.9.9',
      OLLAMA_HA_OLLAMA__REQUIRED: '[a, b]',
      OLLAMA_HA_NODE__NOFAILOVER: 'true',
      UNRELATED: 'x',
      OLLAMA_HA_LAB: 'x',
    };
    const config = configOf(minimal, env);
    expect(config.lease).toMatchObject({ preset: 'fast', pollMs: 120 });
    expect(config.node).toMatchObject({ address: '10.9.9.9', nofailover: true });
    expect(config.ollama?.required).toEqual(['a', 'b']);
  });

  test('keeps text as text: a name of digits stays a name', () => {
    const nodes = '[{ id: "7", address: 10.0.0.1 }]';
    expect(configOf('cluster: { name: lab }', { OLLAMA_HA_NODE__ID: '7', OLLAMA_HA_CLUSTER__NODES: nodes }).node.id).toBe('7');
  });

  test('is named as the source of what it got wrong', () => {
    expect(problemsOf(minimal, { OLLAMA_HA_LOG__LEVEL: 'loud' })).toEqual([
      'OLLAMA_HA_LOG__LEVEL: log.level: must be one of debug, info, warn, error; found "loud" (Least level that is written. Leave it out for info.)',
    ]);
  });

  test('a misspelt variable is an error, not silence', () => {
    expect(problemsOf(minimal, { OLLAMA_HA_LEASE_PRESET: 'fast' })[0]).toContain('did you mean OLLAMA_HA_LEASE__PRESET?');
    expect(problemsOf(minimal, { OLLAMA_HA_LEASE__PRESETT: 'fast' })[0]).toContain('did you mean OLLAMA_HA_LEASE__PRESET?');
    expect(problemsOf(minimal, { OLLAMA_HA_LEASE__TTLM: '1' })[0]).toContain('did you mean OLLAMA_HA_LEASE__TTL_MS?');
    expect(problemsOf(minimal, { OLLAMA_HA_NOTHING__LIKE: '1' })[0]).toContain('known here: NODE, CLUSTER');
  });
});

describe('a wrong file', () => {
  test('gets every problem at once, wrong values and broken relations alike, each with its place', async () => {
    const text = readFileSync(new URL('bad.yaml', import.meta.url), 'utf8');
    const lines = problemsOf(text, { OLLAMA_HA_LOG__LEVEL: 'loud' });
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('snapshots/bad.txt');
  });

  test.each([
    ['a missing section', 'node: { id: gpu1 }', 'agent.yaml: cluster: is missing'],
    ['a list instead of a file of sections', '- a', 'agent.yaml: is not a list of sections'],
    ['broken YAML with its line', 'cluster:\n  name: [lab\n', 'agent.yaml:3:1: is not valid YAML'],
    ['a key given twice', 'cluster: { name: a, name: b }', 'agent.yaml:1:21: is not valid YAML: Map keys must be unique'],
    ['a key of another section', `${minimal}ttlMs: 900`, 'agent.yaml:8:1: ttlMs: unknown key (it belongs under `lease:`)'],
    ['snake case', `${minimal}lease: { ttl_ms: 900 }`, 'lease.ttl_ms: unknown key (did you mean ttlMs?)'],
    ['an unknown key with its neighbours', `${minimal}log: { colour: red }`, 'log.colour: unknown key (known keys here: level)'],
    ['a number too small', `${minimal}lease: { ttlMs: 300 }`, 'lease.ttlMs: must be at least 500, found 300'],
    ['a word for a number', `${minimal}lease: { ttlMs: soon }`, 'lease.ttlMs: must be a whole number, found "soon"'],
    ['a failsafe that is only a design', `${minimal}lease: { failsafe: quorum }`, 'must be one of off, unanimous; found "quorum"'],
    [
      'an address with a port',
      'cluster: { name: a, nodes: [{ id: gpu1, address: "10.0.0.1:80" }] }',
      'cluster.nodes[0].address: must be an IP address or a host name',
    ],
    ['a relative path', `${minimal}paths: { run: run }`, 'paths.run: must be an absolute path, found "run"'],
    [
      'a virtual address without prefix length',
      `${minimal}vip: { address: 10.77.0.100, interface: eth0 }`,
      'vip.address: must be an IPv4 or IPv6 address with its prefix length',
    ],
    ['a URL that is none', `${minimal}ollama: { url: "127.0.0.1:11434" }`, 'ollama.url: must be a URL'],
    [
      'an alias bomb',
      'a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]',
      'agent.yaml: repeats itself by aliases too often',
    ],
    ['a host name that is no node id', minimal, 'node.id: is missing, and the host name "bad_host" is no DNS label', 'bad_host'],
  ])('%s', (_name, text, expected, host = 'gpu1') => {
    const lines = problemsOf(text, {}, host);
    expect(lines.join('\n')).toContain(expected);
  });

  test('a problem in one section does not hide the rules of another', () => {
    const lines = problemsOf(`${minimal}ports: { peer: none }\nlease: { renewMs: 900 }\n`);
    expect(lines.map((line) => line.replace(/ \(.*/, ''))).toEqual([
      'agent.yaml:8:10: ports.peer: must be a whole number, found "none"',
      expect.stringContaining('lease.renewMs: renewMs + redis.commandTimeoutMs = 1050 is more than half of ttlMs'),
      expect.stringContaining('lease.ttlMs: ttlMs 2000 is less than 3 x renewMs + 150 = 2850'),
    ]);
  });
});

describe('reading', () => {
  test('a missing, an unreadable and a huge file are each one problem', () => {
    const big = join(directory, 'big.yaml');
    writeFileSync(big, `#${'x'.repeat(300_000)}`);
    symlinkSync(directory, join(directory, 'folder.yaml'));
    for (const [path, message] of [
      [join(directory, 'none.yaml'), 'there is no such file'],
      [join(directory, 'folder.yaml'), 'cannot be read (EISDIR)'],
      [big, 'is larger than 262144 bytes'],
    ] as const) {
      const result = loadConfig(path, {});
      expect('problems' in result && result.problems).toMatchObject([{ message, source: path }]);
    }
  });

  test('what was set is told apart from what is in effect', () => {
    const path = join(directory, 'agent.yaml');
    writeFileSync(path, minimal);
    const result = loadConfig(path, { OLLAMA_HA_LOG__LEVEL: 'warn' }, 'gpu1');
    expect('set' in result && Object.keys(result.set)).toEqual(['cluster', 'log']);
  });
});

test('docs/configuration.md is what the schema says (else: node src/config/reference.ts > docs/configuration.md)', () => {
  expect(readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')).toBe(referenceText());
});
