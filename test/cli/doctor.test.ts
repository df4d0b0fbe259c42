// What the doctor finds, rule by rule, and how agentctl doctor tells it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { exitCodeOf, findingsOf } from '../../src/cli/doctor-checks.ts';
import type { Facts, Finding, OllamaFacts, Part, VipFacts } from '../../src/cli/doctor-types.ts';
import { agentctl } from './run.ts';

const env = { OLLAMA_KEEP_ALIVE: '-1', OLLAMA_NOPRUNE: '1', OLLAMA_MAX_LOADED_MODELS: '3', OLLAMA_NUM_PARALLEL: '2' };
const ollama: OllamaFacts = { url: 'http://127.0.0.1:11434', version: '0.32.0', env, listens: ['*'] };
const store = {
  path: '/models',
  problem: null,
  freeBytes: 9e11,
  reserveBytes: 2 ** 30,
  readBytesPerSecond: 2e9,
  foreign: [],
  unitMayWrite: true,
};
const vip: VipFacts = {
  driver: 'keepalived',
  interface: 'eth0',
  interfaceUp: true,
  fence: 'required',
  fenceLoaded: true,
  arpIgnore: 0,
  arpAnnounce: 0,
  programs: { keepalived: true, nft: true, arping: true, ss: true },
  keepalivedProblems: [],
  vrrpDropped: false,
  addresses: ['10.77.0.100/24'],
  adverts: 'unicast',
  advertsHeard: 100,
};
const agent = {
  commandTimeoutMs: 150,
  renewMs: 400,
  loopLateP99Ms: 5,
  versions: [
    { node: 'gpu1', agent: '1.0', ollama: '0.32.0' },
    { node: 'box', agent: '1.0', ollama: '' },
  ],
  wire: { holder: 'gpu2', owner: 'gpu2', two: false },
};
const well: Facts = {
  node: 'gpu1',
  ollama,
  kernel: { somaxconn: 4096, overcommitMemory: 0, transparentHugepages: 'madvise', nonlocalBind: 0 },
  store,
  clock: { synchronized: true, others: [{ node: 'gpu2', aheadMs: 900, unsureMs: 40 }] },
  pki: [{ file: '/pki/node.crt', what: 'cert', daysLeft: 800 }],
  redis: [
    { server: 'gpu1', up: true, p99Ms: 2 },
    { server: 'gpu2', up: true, p99Ms: 2 },
    { server: 'box', up: true, p99Ms: 2 },
  ],
  agent,
  vip,
  nginx: { file: '/etc/nginx/ollama-ha/upstream.conf', problem: '' },
};

const bad = (facts: Facts, others: readonly Facts[] = []) => findingsOf(facts, others).filter(({ level }) => level !== 'ok');
const one = (level: Finding['level'], part: Part, what: string, change: string) => ({
  level,
  part,
  what: expect.stringContaining(what),
  change: expect.stringContaining(change),
});

test('a node that is set up well has one good word for each part and nothing else', () => {
  const findings = findingsOf(well, []);
  expect(findings.map(({ part, level }) => `${part} ${level}`)).toEqual(
    ['ollama', 'kernel', 'store', 'clock', 'pki', 'redis', 'agent', 'vip', 'nginx'].map((part) => `${part} ok`),
  );
  expect(exitCodeOf(findings)).toBe(0);
});

const withOllama = (change: Partial<OllamaFacts>): Facts => ({ ...well, ollama: { ...ollama, ...change } });
const without = (name: string): Facts => withOllama({ env: Object.fromEntries(Object.entries(env).filter(([key]) => key !== name)) });
const withVip = (change: Partial<VipFacts>): Facts => ({ ...well, vip: { ...vip, ...change } });
const certificate = (daysLeft: number | null): Facts => ({ ...well, pki: [{ file: '/pki/node.crt', what: 'cert', daysLeft }] });

const skewed = (aheadMs: number, unsureMs = 40): Facts => ({
  ...well,
  clock: { synchronized: true, others: [{ node: 'gpu2', aheadMs, unsureMs }] },
});
const boundTo = (host: string, nonlocalBind: number): Facts => ({
  ...withOllama({ env: { ...env, OLLAMA_HOST: host } }),
  kernel: { ...well.kernel, nonlocalBind },
});
const onWire = (owner: string, two = false): Facts => ({ ...well, agent: { ...agent, wire: { holder: 'gpu2', owner, two } } });

const cases: readonly (readonly [string, Facts, ReturnType<typeof one>])[] = [
  ['a clock that is ahead', skewed(1500), one('warning', 'clock', 'the clock of gpu2 is 1500 ms ahead of', 'chrony')],
  ['a clock far behind', skewed(-90_000), one('critical', 'clock', 'the clock of gpu2 is 90000 ms behind', 'chrony')],
  [
    'Ollama binds the address itself',
    boundTo('10.77.0.100:11434', 0),
    one('critical', 'vip', 'binds the virtual address', 'ip_nonlocal_bind=1'),
  ],
  ['Ollama listens elsewhere', withOllama({ listens: ['10.77.0.1'] }), one('critical', 'vip', '10.77.0.1 only', 'OLLAMA_HOST=0.0.0.0')],
  ['ARP in the name of another address', withVip({ arpIgnore: 1 }), one('warning', 'vip', 'another address', 'arp_announce=2')],
  ['no advert arrives', withVip({ advertsHeard: 0 }), one('critical', 'vip', '(unicast) of the active node', 'protocol 112')],
  ['no multicast advert arrives', withVip({ advertsHeard: 0, adverts: 'multicast' }), one('critical', 'vip', '(multicast)', '224.0.0.18')],
  ['two machines at the address', onWire('gpu1', true), one('critical', 'vip', 'two machines', 'split brain')],
  [
    'another node at the address',
    onWire('gpu1'),
    one('critical', 'vip', 'gpu1 answers ARP requests for the address, and gpu2', 'agentctl status'),
  ],
  [
    'files of another user',
    { ...well, store: { ...store, foreign: ['/models/blobs/sha256-1'] } },
    one('warning', 'store', '/models/blobs/sha256-1', 'chown -R --reference=/models'),
  ],
  [
    'a unit that may not write',
    { ...well, store: { ...store, unitMayWrite: false } },
    one('critical', 'store', 'may not write', 'ReadWritePaths=/models'),
  ],
  [
    'nginx refuses its files',
    { ...well, nginx: { file: '/u.conf', problem: '[emerg] unknown directive' } },
    one('critical', 'nginx', '[emerg] unknown directive', 'nginx -t'),
  ],
  [
    'nginx may not be asked',
    { ...well, nginx: { file: '/u.conf', problem: null } },
    one('unknown', 'nginx', 'could not be run', 'as root'),
  ],
  ['Ollama is down', withOllama({ version: null }), one('critical', 'ollama', 'does not answer', 'systemctl restart ollama')],
  [
    'Ollama listens on the loopback only',
    withOllama({ listens: ['127.0.0.1'] }),
    one('critical', 'ollama', 'loopback', 'OLLAMA_HOST=0.0.0.0'),
  ],
  ['its settings may not be read', withOllama({ env: null }), one('unknown', 'ollama', 'cannot be read', 'as root')],
  ['no KEEP_ALIVE', without('OLLAMA_KEEP_ALIVE'), one('warning', 'ollama', 'five minutes', 'OLLAMA_KEEP_ALIVE=-1')],
  ['no NOPRUNE', without('OLLAMA_NOPRUNE'), one('warning', 'ollama', 'deletes blobs', 'OLLAMA_NOPRUNE=1')],
  ['NOPRUNE off', withOllama({ env: { ...env, OLLAMA_NOPRUNE: 'false' } }), one('warning', 'ollama', 'deletes blobs', 'OLLAMA_NOPRUNE=1')],
  ['no MAX_LOADED_MODELS', without('OLLAMA_MAX_LOADED_MODELS'), one('warning', 'ollama', 'how many models', 'OLLAMA_MAX_LOADED_MODELS')],
  ['a small backlog', { ...well, kernel: { ...well.kernel, somaxconn: 128 } }, one('warning', 'kernel', '128', 'somaxconn=4096')],
  [
    'strict overcommit',
    { ...well, kernel: { ...well.kernel, overcommitMemory: 2 } },
    one('warning', 'kernel', 'strict', 'overcommit_memory=1'),
  ],
  [
    'a store that may not be written',
    { ...well, store: { ...store, problem: 'may not be read' } },
    one('critical', 'store', 'may not', 'install -d'),
  ],
  ['a full disk', { ...well, store: { ...store, freeBytes: 5e8 } }, one('critical', 'store', 'nothing is copied', 'ollama rm')],
  ['a nearly full disk', { ...well, store: { ...store, freeBytes: 1.5e9 } }, one('warning', 'store', 'may not fit', 'df -h')],
  ['a slow disk', { ...well, store: { ...store, readBytesPerSecond: 4e7 } }, one('warning', 'store', '40 MB/s', 'faster disk')],
  [
    'a clock that runs free',
    { ...well, clock: { synchronized: false, others: [] } },
    one('warning', 'clock', 'not synchronized', 'chrony'),
  ],
  ['a certificate that ends soon', certificate(29), one('warning', 'pki', '29 days', 'pki issue --renew')],
  ['a certificate that has ended', certificate(-2), one('critical', 'pki', 'expired 2 days ago', 'pki issue')],
  ['no certificate', certificate(null), one('critical', 'pki', 'no certificate', 'pki issue')],
  [
    'one lost Redis',
    { ...well, redis: (well.redis ?? []).map((r, i) => ({ ...r, up: i > 0 })) },
    one('warning', 'redis', 'does not answer', 'redis status'),
  ],
  ['a slow Redis', { ...well, redis: [{ server: 'gpu2', up: true, p99Ms: 90 }] }, one('warning', 'redis', '90 ms', 'preset')],
  ['no agent', { ...well, agent: null, redis: null }, one('unknown', 'agent', 'does not answer', 'journalctl')],
  [
    'other versions',
    { ...well, agent: { ...agent, versions: [...agent.versions, { node: 'gpu2', agent: '1.1', ollama: '' }] } },
    one('warning', 'agent', 'gpu2: 1.1', 'same version'),
  ],
  [
    'an agent that runs late',
    { ...well, agent: { ...agent, loopLateP99Ms: 250 } },
    one('warning', 'agent', '250 ms late', 'calmer preset'),
  ],
  [
    'no keepalived',
    withVip({ programs: { ...vip.programs, keepalived: false } }),
    one('critical', 'vip', 'keepalived', 'apt-get install keepalived'),
  ],
  ['an interface that is down', withVip({ interfaceUp: false }), one('critical', 'vip', 'interface', 'ip -br link')],
  ['no fence', withVip({ fenceLoaded: false }), one('critical', 'vip', 'fence', 'systemctl start ollama-ha-fence')],
  ['a preferred fence that is absent', withVip({ fence: 'preferred', fenceLoaded: false }), one('warning', 'vip', 'fence', 'fence render')],
  ['ARP switched off', withVip({ arpIgnore: 8 }), one('critical', 'vip', 'no ARP', 'arp_ignore=1')],
  [
    'a keepalived.conf without our part',
    withVip({ keepalivedProblems: ['include: missing'] }),
    one('critical', 'vip', 'include', 'keepalived install'),
  ],
  ['a firewall against VRRP', withVip({ vrrpDropped: true }), one('critical', 'vip', '112', 'vrrp accept')],
];

test.each(cases)('%s is found, once, with what to do', (_name, facts, finding) => {
  expect(bad(facts)).toEqual([expect.objectContaining(finding)]);
});

test('two of three lost Redis servers are critical', () => {
  const redis = (well.redis ?? []).map((server, i) => ({ ...server, up: i === 0 }));
  expect(bad({ ...well, redis }).map(({ level }) => level)).toEqual(['critical', 'critical']);
});

test('settings that differ between nodes are named with the value of each', () => {
  const other = { ...withOllama({ env: { ...env, OLLAMA_NUM_PARALLEL: '4', OLLAMA_CONTEXT_LENGTH: '8192' } }), node: 'gpu2' };
  expect(bad(well, [other])).toMatchObject([
    { level: 'warning', where: 'OLLAMA_NUM_PARALLEL', what: 'differs between the nodes (gpu1: 2, gpu2: 4)' },
    { level: 'warning', where: 'OLLAMA_CONTEXT_LENGTH', what: 'differs between the nodes (gpu1: not set, gpu2: 8192)' },
  ]);
});

test('the worst finding decides the exit code', () => {
  const of = (...levels: Finding['level'][]) =>
    exitCodeOf(levels.map((level) => ({ part: 'vip', level, what: '', where: '', change: '' })));
  expect([of('ok'), of('ok', 'unknown'), of('unknown', 'warning'), of('warning', 'critical', 'unknown')]).toEqual([0, 3, 1, 2]);
});

describe('agentctl doctor', () => {
  const directory = mkdtempSync(join(tmpdir(), 'doctor-'));
  const config = join(directory, 'agent.yaml');
  const models = join(directory, 'models');
  mkdirSync(join(models, 'blobs'), { recursive: true });
  writeFileSync(
    config,
    `node: { id: gpu1 }\ncluster: { name: lab, nodes: [{ id: gpu1, address: 127.0.0.1 }] }\npaths: { run: ${directory} }\nollama: { url: 'http://127.0.0.1:1', store: ${models} }\npki: { ca: ${directory}/ca.crt, cert: ${directory}/node.crt, key: ${directory}/node.key }\n`,
  );
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const doctor = (...argv: string[]) => agentctl(['doctor', '--config', config, ...argv]);

  test('collects the facts of this host, judges them, and ends with the code of the worst', async () => {
    const ran = await doctor();
    expect(ran).toMatchObject({ code: 2, err: '' });
    expect(ran.out).toContain('CRITICAL ollama: Ollama does not answer (http://127.0.0.1:1)\n         do: systemctl restart ollama');
    expect(ran.out).toContain(`CRITICAL pki: there is no certificate that can be read (${directory}/node.crt)`);
    expect(ran.out).toContain(`OK       store: readable and writable`);
  });

  test('--only leaves the rest out; --json has findings and facts, and another node compares with them', async () => {
    const ran = await doctor('--only', 'store', '--json');
    expect(ran.code).toBe(0);
    const told = JSON.parse(ran.out);
    expect(told.findings.map((finding: Finding) => finding.part)).toEqual(['store']);
    expect(told.facts).toMatchObject({ node: 'gpu1', kernel: { somaxconn: expect.any(Number) } });
    const file = join(directory, 'gpu2.json');
    writeFileSync(file, ran.out);
    expect((await doctor('--only', 'store', '--compare', file)).code).toBe(0);
    writeFileSync(file, '{}');
    expect(await doctor('--compare', file)).toMatchObject({ code: 1, err: expect.stringContaining('agentctl doctor --json > FILE') });
    expect(await doctor('--only', 'nonsense')).toMatchObject({ code: 64 });
  });
});

test('what was measured too loosely is no skew, and a bound address with nonlocal_bind no fault', () => {
  expect(bad(skewed(1500, 600))).toEqual([]);
  expect(bad(boundTo('10.77.0.100', 1))).toEqual([]);
  expect(bad(onWire(''))).toEqual([]);
  expect(bad(withVip({ advertsHeard: null }))).toEqual([]);
});
