// Cuts and losses as nft rules inside a host's namespace. Each host has one table of ours, rewritten whole from the wanted state.
import { must } from './command.ts';
import { clientAddress, namespaceOf } from './names.ts';

/**
 * What a host is cut from. `redis`: its own calls to any Redis, the local one included, while its Redis still serves others;
 * `redisServer`: others' calls to its Redis; `peers`: gossip and blobs both ways; `clients`: the client host; `vrrp`: protocol 112;
 * `redisDown`: as if no Redis listened anywhere: calls from here are reset at once; `hosts`: everything to and from these addresses;
 * `lossPercent`: share of the packets on eth0 lost, each way, all or only those of `lossHosts`.
 */
export type Cut = {
  readonly redis?: boolean;
  readonly redisServer?: boolean;
  readonly peers?: boolean;
  readonly clients?: boolean;
  readonly vrrp?: boolean;
  readonly hosts?: readonly string[];
  readonly redisDown?: boolean;
  readonly lossPercent?: number;
  readonly lossHosts?: readonly string[];
};

const redisPort = 11442;
const peerPorts = '{ 11440, 11441 }';

/** Sets a host's cuts; `{}` heals everything. */
export async function setCut(id: string, host: string, cut: Cut): Promise<void> {
  const chains = directions.map((hook) => chainOf(hook, cutRules(cut, hook))).join('');
  const input = `add table inet lab_cut\ndelete table inet lab_cut\ntable inet lab_cut {\n${chains}}\n`;
  await must(['ip', 'netns', 'exec', namespaceOf(id, host), 'nft', '-f', '-'], { input });
}

const directions = ['input', 'output'] as const;

/** The rules of a cut for packets to (`input`) or from (`output`) the host. */
export function cutRules(cut: Cut, direction: (typeof directions)[number]): readonly string[] {
  const incoming = direction === 'input';
  const device = incoming ? 'iifname' : 'oifname';
  const far = incoming ? 'saddr' : 'daddr';
  const addresses = [...(cut.clients ? [clientAddress] : []), ...(cut.hosts ?? [])];
  return [
    ...(cut.redis && !incoming ? [`tcp dport ${redisPort} drop`] : []),
    ...(cut.redisDown && !incoming ? [`tcp dport ${redisPort} reject with tcp reset`] : []),
    ...(cut.redisServer && incoming ? [`iifname "eth0" tcp dport ${redisPort} drop`] : []),
    ...(cut.peers ? [`tcp dport ${peerPorts} drop`, `tcp sport ${peerPorts} drop`] : []),
    ...(cut.vrrp ? ['meta l4proto 112 drop'] : []),
    ...(cut.lossPercent ? lossOf(cut, `${device} "eth0"`, far) : []),
    ...addresses.map((address) => `ip ${far} ${address} drop`),
  ];
}

function lossOf(cut: Cut, device: string, far: 'saddr' | 'daddr'): readonly string[] {
  const loss = `${lossMatch(cut.lossPercent ?? 0)}drop`;
  return cut.lossHosts === undefined ? [`${device} ${loss}`] : cut.lossHosts.map((address) => `${device} ip ${far} ${address} ${loss}`);
}

/** nft refuses a comparison that is always true. */
function lossMatch(percent: number): string {
  return percent >= 100 ? '' : `numgen random mod 1000 < ${Math.round(percent * 10)} `;
}

function chainOf(hook: string, rules: readonly string[]): string {
  const lines = [`type filter hook ${hook} priority -400; policy accept;`, ...rules];
  return `  chain ${hook} {\n${lines.map((line) => `    ${line}\n`).join('')}  }\n`;
}
