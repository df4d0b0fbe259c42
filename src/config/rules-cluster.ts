// Relations between this node, the node list, the voters, and the addresses and ports they use.
import { isIP } from 'node:net';
import { canonicalOf } from './cidr.ts';
import type { RawProblem } from './problem.ts';
import { problemAt, type Rule } from './rule.ts';
import type { Config } from './schema.ts';

type Place = { readonly id: string; readonly address: string };

/** The rules of identity, votes, addresses and ports. */
export const clusterRules: readonly Rule[] = [
  { needs: ['node.id', 'node.address', 'cluster.nodes', 'redis', 'nginx'], check: membership },
  { needs: ['node', 'cluster.nodes', 'redis.voters'], check: ownAddress },
  { needs: ['cluster.nodes'], check: ({ cluster }) => duplicates(cluster.nodes, ['cluster', 'nodes']) },
  {
    needs: ['redis'],
    check: ({ redis, cluster }) => (redis.voters === cluster.nodes ? [] : duplicates(redis.voters, ['redis', 'voters'])),
  },
  { needs: ['cluster.nodes', 'redis'], check: sameAddresses },
  { needs: ['redis'], check: sameServers },
  { needs: ['cluster.nodes', 'redis'], check: votes },
  { needs: ['vip.address', 'vip.addresses', 'node.address', 'cluster.nodes', 'redis.voters'], check: vipIsFree },
  { needs: ['vip.address', 'vip.addresses'], check: vipIsNamed },
  { needs: ['vip.address', 'vip.addresses', 'vip.driver', 'node.address'], check: vipHasFamily },
  { needs: ['ports', 'http', 'redis', 'ollama'], check: distinctPorts },
];

function membership({ node, cluster, redis, ollama, nginx }: Config): RawProblem[] {
  const listed = cluster.nodes.some((place) => place.id === node.id);
  const voter = redis.managed && redis.voters.some((place) => place.id === node.id);
  // A balancer host stands in no list: it only listens to the cluster.
  if (!listed && !voter && nginx !== undefined && ollama === null) {
    if (node.address !== '') return [];
    return [problemAt('node.address', 'is missing', 'a balancer stands in no list: give the address at which the nodes reach it')];
  }
  if (!listed && !voter) {
    const known = cluster.nodes.map((place) => place.id).join(', ');
    const message = `${node.id} is neither in cluster.nodes (${known}) nor a witness in redis.voters`;
    return [
      problemAt(
        'node.id',
        message,
        'set node.id to a listed id, or add this node to the list on every node; without node.id the host name counts',
      ),
    ];
  }
  if (!listed && ollama !== null) {
    const hint = `add ${node.id} to cluster.nodes on every node to make it a candidate, or remove the \`ollama:\` section`;
    return [problemAt('ollama', `${node.id} is only a witness (in redis.voters, not in cluster.nodes) and cannot serve Ollama`, hint)];
  }
  return [];
}

function ownAddress({ node, cluster, redis }: Config): RawProblem[] {
  const listed = [...cluster.nodes, ...redis.voters].find((place) => place.id === node.id);
  if (listed === undefined || listed.address === node.address) return [];
  const message = `${node.address} differs from ${listed.address}, which is listed for ${node.id}`;
  return [problemAt('node.address', message, 'leave node.address out, or correct the list')];
}

function duplicates(places: readonly Place[], path: readonly string[]): RawProblem[] {
  return (['id', 'address'] as const).flatMap((key) =>
    places.flatMap((place, at) => {
      const first = places.findIndex((other) => other[key] === place[key]);
      if (first === at) return [];
      const message = `${place[key]} is listed twice (entries ${first} and ${at})`;
      return [{ path: [...path, at, key], message, hint: `every ${key} stands once; remove or correct one of the two entries` }];
    }),
  );
}

function sameAddresses({ cluster, redis }: Config): RawProblem[] {
  if (redis.voters === cluster.nodes) return [];
  return redis.voters.flatMap((voter, at) => {
    const node = cluster.nodes.find((place) => (place.id === voter.id) !== (place.address === voter.address));
    if (node === undefined) return [];
    const message = `${voter.id} at ${voter.address} contradicts cluster.nodes, which has ${node.id} at ${node.address}`;
    return [{ path: ['redis', 'voters', at, 'address'], message, hint: 'one id has one address, in both lists' }];
  });
}

// Two entries for one server would count one vote twice.
function sameServers({ redis }: Config): RawProblem[] {
  const names = redis.servers.map((server) => `${server.host}:${server.port}`);
  return names.flatMap((name, at) =>
    names.indexOf(name) === at
      ? []
      : [
          {
            path: ['redis', 'servers', at],
            message: `${name} is listed twice`,
            hint: 'every server has one vote; list 1, 3 or 5 different ones',
          },
        ],
  );
}

function votes({ cluster, redis }: Config): RawProblem[] {
  if (redis.managed && redis.servers.length > 0) {
    return [
      problemAt(
        'redis.managed',
        'managed: true and servers exclude each other',
        'remove `servers:` for managed Redis, or `managed:` for external servers',
      ),
    ];
  }
  if (!redis.managed && redis.voters.length > 0) {
    return [
      problemAt(
        'redis.voters',
        'voters are for managed Redis, which is off here',
        'remove `voters:`, or remove `servers:` and `managed: false`',
      ),
    ];
  }
  if (!redis.managed && redis.servers.length === 0) {
    return [problemAt('redis.managed', 'is false, but no servers are listed', 'list 1, 3 or 5 `servers:`, or set managed: true')];
  }
  const count = redis.managed ? redis.voters.length : redis.servers.length;
  if (count === 1 || count === 3 || count === 5) return [];
  if (!redis.managed)
    return [problemAt('redis.servers', `${count} servers: it must be 1, 3 or 5`, 'an even number survives no more losses than one less')];
  const defaulted = redis.voters === cluster.nodes;
  if (count === 2) return [problemAt(defaulted ? 'redis' : 'redis.voters', twoVoters, addWitness)];
  const message = `${count} voters${defaulted ? ' (by default all of cluster.nodes)' : ''}: it must be 1, 3 or 5`;
  return [problemAt(defaulted ? 'redis' : 'redis.voters', message, 'name 3 or 5 nodes in redis.voters, the same list on every node')];
}

const twoVoters = 'two votes cannot outlive the loss of one: neither node alone is a majority, so no failover would ever happen';
const addWitness =
  'add a witness: any small third machine, listed in redis.voters beside both nodes (not in cluster.nodes); its file has no `ollama:` section';

function vipIsFree({ vip, node, cluster, redis }: Config): RawProblem[] {
  const several = (vip?.addresses.length ?? 0) > 1;
  return (vip?.addresses ?? []).flatMap((text, at) => {
    const address = canonicalOf(text);
    const owner = [node, ...cluster.nodes, ...redis.voters].find((place) => canonicalOf(place.address) === address);
    if (owner === undefined) return [];
    const message = `${address} is the own address of ${owner.id}`;
    const path = several ? ['vip', 'addresses', at] : ['vip', 'address'];
    return [{ path, message, hint: 'choose an unused address of the same network; it moves between the nodes' }];
  });
}

function vipIsNamed({ vip }: Config): RawProblem[] {
  if (vip === null) return [];
  if (vip.addresses.length === 0) return [problemAt('vip.address', 'is missing', 'name the virtual address, such as 10.77.0.100/24')];
  const plain = vip.addresses.map(canonicalOf);
  const twice = plain.flatMap((address, at) =>
    plain.indexOf(address) === at
      ? []
      : [{ path: ['vip', 'addresses', at], message: `${address} is listed twice`, hint: 'every address stands once; remove this entry' }],
  );
  if (vip.addresses.includes(vip.address)) return twice;
  return [problemAt('vip.address', 'stands beside addresses', 'remove one of the two: `addresses` names all of them'), ...twice];
}

function vipHasFamily({ vip, node }: Config): RawProblem[] {
  const family = isIP(node.address);
  if (vip === null || vip.driver !== 'keepalived' || family === 0 || vip.addresses.length === 0) return [];
  if (vip.addresses.some((text) => text.includes(':') === (family === 6))) return [];
  const message = `keepalived talks IPv${family} between the nodes (node.address ${node.address}) and needs a virtual address of that family too`;
  return [
    problemAt('vip.address', message, 'add one to `addresses`, give the nodes addresses of the other family, or set driver: address'),
  ];
}

function distinctPorts({ ports, http, redis, ollama }: Config): RawProblem[] {
  const uses: { readonly path: string; readonly port: number }[] = [
    ...(ollama === null ? [] : [{ path: 'ollama.url', port: portOf(ollama.url) }]),
    { path: 'ports.peer', port: ports.peer },
    { path: 'ports.blobs', port: ports.blobs },
    ...(redis.managed ? [{ path: 'redis.port', port: redis.port }] : []),
    { path: 'http.listen', port: Number(http.listen.split(':').at(-1)) },
  ];
  const clashes = uses.flatMap((use, at) => {
    const first = uses.findIndex((other) => other.port === use.port);
    const hint = 'give each its own port; 11440 to 11443 are the defaults beside 11434 of Ollama';
    return first === at ? [] : [problemAt(use.path, `port ${use.port} is also used by ${uses[first]?.path}`, hint)];
  });
  const listenPort = uses.at(-1)?.port ?? 0;
  const outside = listenPort >= 1 && listenPort <= 65535 ? [] : [problemAt('http.listen', `${listenPort} is not a port`, 'use 1 to 65535')];
  return [...clashes, ...outside];
}

function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}
