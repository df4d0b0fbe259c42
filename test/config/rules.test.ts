// The relations between keys, one by one: what breaks each, what the message says, and where its edge is.
import { describe, expect, test } from 'vitest';
import { leaseConfigOf, redisServersOf, votesHere } from '../../src/config/derive.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';

type Tree = Record<string, unknown>;

const nodes = (...names: string[]) => names.map((id) => ({ id, address: `10.77.0.${id.slice(-1)}` }));
const three = { cluster: { name: 'lab', nodes: nodes('gpu1', 'gpu2', 'gpu3') } };
const vip = (more: Tree = {}) => ({ vip: { address: '10.77.0.100/24', interface: 'eth0', ...more } });

const several = (...addresses: string[]) => ({ vip: { addresses, interface: 'eth0' } });

// JSON is YAML, so a tree can be given as it is.
function check(tree: Tree, host = 'gpu1') {
  return parseConfig(JSON.stringify({ ...three, ...tree }), 'agent.yaml', {}, host);
}

function problems(tree: Tree, host = 'gpu1'): readonly string[] {
  const result = check(tree, host);
  return 'problems' in result ? result.problems.map((problem) => `${problem.path}: ${problem.message}`) : [];
}

function config(tree: Tree, host = 'gpu1'): Config {
  const result = check(tree, host);
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

describe('timing', () => {
  test('two attempts to renew fit into half of the lease, exactly at the edge too', () => {
    expect(problems({ redis: { commandTimeoutMs: 600 } })).toEqual([]);
    expect(problems({ redis: { commandTimeoutMs: 601 } })).toEqual([
      expect.stringContaining('lease.renewMs: renewMs + redis.commandTimeoutMs = 1001 is more than half'),
    ]);
  });

  test.each([
    ['ultra', 150],
    ['fast', 250],
    ['standard', 600],
    ['relaxed', 2000],
  ])('a distant Redis may take at most what preset %s allows: %i ms', (preset, most) => {
    expect(problems({ lease: { preset }, redis: { commandTimeoutMs: most } })).toEqual([]);
    expect(problems({ lease: { preset }, redis: { commandTimeoutMs: most + 1 } })).toHaveLength(1);
  });

  test('the lease outlives three renewals', () => {
    expect(problems({ lease: { renewMs: 616 } })).toEqual([]);
    expect(problems({ lease: { renewMs: 617 } })).toEqual([
      'lease.ttlMs: ttlMs 2000 is less than 3 x renewMs + 150 = 2001: one lost renewal would end the lease',
    ]);
  });

  test('a claim is over before the lease is', () => {
    expect(problems({ lease: { claimTimeoutMs: 1999 } })).toEqual([]);
    expect(problems({ lease: { claimTimeoutMs: 2000 } })).toEqual([
      expect.stringContaining('lease.claimTimeoutMs: claimTimeoutMs 2000 is not below ttlMs 2000'),
    ]);
  });

  test('back-off has a least and a longest wait', () => {
    expect(problems({ lease: { backoffMs: [50, 20] } })).toEqual([expect.stringContaining('lease.backoffMs: the least wait 50 is longer')]);
    expect(problems({ lease: { backoffMs: [50] } })).toEqual([expect.stringContaining('lease.backoffMs')]);
  });

  test('the guard leaves time to act', () => {
    expect(problems({ lease: { preset: 'ultra', guardMs: 299 } })).toEqual([]);
    expect(problems({ lease: { preset: 'ultra', guardMs: 300 } })).toEqual([
      expect.stringContaining('lease.guardMs: guardMs 300 leaves no time'),
    ]);
  });
});

describe('the fence', () => {
  test('required, L is 0; preferred and off, L is 1300; without an address nothing has to be waited for', () => {
    const lockDelays = [vip(), vip({ fence: 'preferred' }), vip({ fence: 'off' }), vip({ driver: 'none', fence: 'off' }), {}].map(
      (tree) => {
        const { lockDelayMs, fenceRequired } = leaseConfigOf(config(tree));
        return [lockDelayMs, fenceRequired];
      },
    );
    expect(lockDelays).toEqual([
      [0, true],
      [1300, false],
      [1300, false],
      [0, false],
      [0, false],
    ]);
  });

  test('L = 0 needs a required fence', () => {
    expect(problems({ ...vip({ fence: 'preferred' }), lease: { lockDelayMs: 0 } })).toEqual([
      expect.stringContaining('lease.lockDelayMs: lockDelayMs 0 is too short'),
    ]);
    expect(problems({ ...vip({ fence: 'preferred' }), lease: { lockDelayMs: 3700 } })).toEqual([]);
  });

  test('ultra needs the fence', () => {
    expect(problems({ ...vip({ fence: 'preferred' }), lease: { preset: 'ultra' } })).toEqual([
      expect.stringContaining('vip.fence: preset ultra needs the kernel fence'),
    ]);
    expect(problems({ ...vip(), lease: { preset: 'ultra' } })).toEqual([]);
  });

  test("fast is too quick for the kernel's own address lifetime", () => {
    const driver = { driver: 'address', fence: 'preferred' };
    expect(problems({ ...vip(driver), lease: { preset: 'fast' } })).toEqual([
      expect.stringContaining('vip.driver: driver address without a required fence'),
    ]);
    expect(problems(vip(driver))).toEqual([]);
    expect(problems({ ...vip({ driver: 'address' }), lease: { preset: 'fast' } })).toEqual([]);
  });
});

describe('votes', () => {
  test.each([
    [1, []],
    [3, []],
    [5, []],
    [4, [expect.stringContaining('redis: 4 voters (by default all of cluster.nodes): it must be 1, 3 or 5')]],
  ])('%i nodes by default', (count, expected) => {
    const names = ['gpu1', 'gpu2', 'gpu3', 'gpu4', 'gpu5'].slice(0, count);
    expect(problems({ cluster: { name: 'lab', nodes: nodes(...names) } })).toEqual(expected);
  });

  test('two nodes without a witness are explained; with one they are a cluster', () => {
    const pair = { cluster: { name: 'lab', nodes: nodes('gpu1', 'gpu2') } };
    const result = check(pair);
    expect('problems' in result && result.problems).toMatchObject([
      {
        path: 'redis',
        message: expect.stringContaining('two votes cannot outlive the loss of one'),
        hint: expect.stringContaining('add a witness'),
      },
    ]);
    const voters = nodes('gpu1', 'gpu2', 'tiny3');
    expect(problems({ ...pair, redis: { voters } })).toEqual([]);
    expect(votesHere(config({ ...pair, redis: { voters } }, 'tiny3'))).toBe(true);
    expect(votesHere(config({ ...pair, redis: { voters: nodes('gpu2') } }))).toBe(false);
  });

  test('a node that is neither listed nor a voter is refused; a witness cannot serve', () => {
    expect(problems({}, 'gpu9')).toEqual([
      expect.stringContaining('node.id: gpu9 is neither in cluster.nodes (gpu1, gpu2, gpu3) nor a witness'),
    ]);
    const witness = {
      cluster: { name: 'lab', nodes: nodes('gpu1', 'gpu2') },
      redis: { voters: nodes('gpu1', 'gpu2', 'tiny3') },
      ollama: {},
    };
    expect(problems(witness, 'tiny3')).toEqual([expect.stringContaining('ollama: tiny3 is only a witness')]);
  });

  test('external servers: 1, 3 or 5 different ones, and nothing managed beside them', () => {
    const server = (host: string) => ({ host });
    expect(problems({ redis: { servers: [server('a'), server('b'), server('c')] } })).toEqual([]);
    expect(problems({ redis: { servers: [server('a'), server('b')] } })).toEqual([expect.stringContaining('redis.servers: 2 servers')]);
    expect(problems({ redis: { servers: [server('a'), server('b'), server('a')] } })).toEqual(['redis.servers[2]: a:6379 is listed twice']);
    expect(problems({ redis: { managed: true, servers: [server('a')] } })).toEqual([
      expect.stringContaining('redis.managed: managed: true and servers exclude each other'),
    ]);
    expect(problems({ redis: { managed: false } })).toEqual([
      expect.stringContaining('redis.managed: is false, but no servers are listed'),
    ]);
    expect(problems({ redis: { servers: [server('a')], voters: nodes('gpu1') } })).toEqual([
      expect.stringContaining('redis.voters: voters are for managed Redis'),
    ]);
  });

  test('the servers to talk to: managed ones by voter, external ones as given', () => {
    expect(redisServersOf(config({}))[1]).toEqual({
      name: 'gpu2',
      host: '10.77.0.2',
      port: 11442,
      user: 'ha',
      passwordFile: null,
      secretFile: '/etc/ollama-ha/secret',
      tls: { ca: '/etc/ollama-ha/pki/ca.crt', cert: '/etc/ollama-ha/pki/node.crt', key: '/etc/ollama-ha/pki/node.key' },
    });
    const external = config({ redis: { servers: [{ host: 'r1', port: 6400, passwordFile: '/p', tls: false }] } });
    expect(redisServersOf(external)).toEqual([
      { name: 'r1:6400', host: 'r1', port: 6400, user: 'ha', passwordFile: '/p', secretFile: null, tls: null },
    ]);
    expect(leaseConfigOf(external).servers).toBe(1);
  });
});

describe('addresses and ports', () => {
  test('ids and addresses stand once', () => {
    const cluster = { name: 'lab', nodes: [...nodes('gpu1', 'gpu2'), { id: 'gpu1', address: '10.77.0.2' }] };
    expect(problems({ cluster })).toEqual([
      'cluster.nodes[2].id: gpu1 is listed twice (entries 0 and 2)',
      'cluster.nodes[2].address: 10.77.0.2 is listed twice (entries 1 and 2)',
    ]);
  });

  test('both lists agree on an address, and so does the node itself', () => {
    const voters = [...nodes('gpu1', 'gpu2'), { id: 'gpu3', address: '10.77.0.33' }];
    expect(problems({ redis: { voters } })).toEqual([expect.stringContaining('redis.voters[2].address: gpu3 at 10.77.0.33 contradicts')]);
    expect(problems({ node: { id: 'gpu1', address: '10.77.0.11' } })).toEqual([
      expect.stringContaining('node.address: 10.77.0.11 differs from 10.77.0.1'),
    ]);
  });

  test('the virtual address is nobody’s own', () => {
    expect(problems(vip({ address: '10.77.0.2/24' }))).toEqual(['vip.address: 10.77.0.2 is the own address of gpu2']);
    expect(problems(several('10.77.0.100/24', '10.77.0.3/24'))).toEqual(['vip.addresses[1]: 10.77.0.3 is the own address of gpu3']);
  });

  test('several virtual addresses of both families stand in one list, each once', () => {
    const { vip: found } = config(several('10.77.0.100/24', 'fd77::100/64'));
    expect(found?.addresses).toEqual(['10.77.0.100/24', 'fd77::100/64']);
    expect(config(vip()).vip?.addresses).toEqual(['10.77.0.100/24']);
    expect(problems(several('10.77.0.100/24', 'fd77::100/64', 'FD77:0::100/64'))).toEqual(['vip.addresses[2]: fd77::100 is listed twice']);
    expect(problems(several('fd77::1/200'))).toEqual([expect.stringContaining('vip.addresses[0]: must be an IPv4 or IPv6 address')]);
  });

  test('one key names the addresses: neither none nor both', () => {
    expect(problems({ vip: { interface: 'eth0' } })).toEqual(['vip.address: is missing']);
    expect(problems(vip({ addresses: ['10.77.0.101/24'] }))).toEqual(['vip.address: stands beside addresses']);
    // What "config show --defaults" prints is a file again.
    expect(problems(vip({ addresses: ['10.77.0.100/24'] }))).toEqual([]);
  });

  test('keepalived needs an address of the family in which the nodes talk, the agent alone does not', () => {
    const six = several('fd77::100/64');
    expect(problems(six)).toEqual([expect.stringContaining('vip.address: keepalived talks IPv4 between the nodes')]);
    expect(problems({ vip: { ...six.vip, driver: 'address' } })).toEqual([]);
  });

  test('every listener has its own port', () => {
    expect(problems({ ports: { peer: 11442 } })).toEqual(['redis.port: port 11442 is also used by ports.peer']);
    expect(problems({ ollama: {}, http: { listen: '127.0.0.1:11434' } })).toEqual(['http.listen: port 11434 is also used by ollama.url']);
    expect(problems({ ports: { peer: 11442 }, redis: { servers: [{ host: 'a' }] } })).toEqual([]);
    expect(problems({ http: { listen: '127.0.0.1:99999' } })).toEqual(['http.listen: 99999 is not a port']);
  });
});

test('a balancer stands in no list, but must give its address; it is none beside an Ollama', () => {
  const edge = { node: { id: 'edge', address: '10.77.0.9' }, nginx: { policy: 'weighted', weights: { gpu1: 3 } } };
  expect(problems(edge)).toEqual([]);
  expect(problems({ ...edge, node: { id: 'edge' } })).toEqual(['node.address: is missing']);
  expect(problems({ ...edge, ollama: {} })).toContainEqual(expect.stringContaining('node.id: edge is neither in cluster.nodes'));
  expect(votesHere(config(edge))).toBe(false);
});
