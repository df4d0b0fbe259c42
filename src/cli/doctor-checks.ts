// From facts to findings. Pure: every rule is one function and one test.
import { addressFindings, nginxFindings, skewFindings, writerFindings } from './doctor-network.ts';
import type { Facts, Finding, OllamaFacts, Part, StoreFacts, VipFacts } from './doctor-types.ts';

/** Every finding about one node; `others` are facts of further nodes to compare with. */
export function findingsOf(facts: Facts, others: readonly Facts[]): readonly Finding[] {
  return [
    ...(facts.ollama === null ? [] : ollamaFindings(facts.ollama)),
    ...compared([facts, ...others]),
    ...kernelFindings(facts),
    ...sum(facts.store === null ? [] : storeFindings(facts.store), writerFindings(facts)),
    ...sum(clockFindings(facts), skewFindings(facts)),
    ...facts.pki.flatMap(pkiFindings),
    ...redisFindings(facts),
    ...agentFindings(facts),
    ...sum(facts.vip === null ? [] : vipFindings(facts.vip), addressFindings(facts)),
    ...nginxFindings(facts),
  ];
}

/** All is well only where both halves say so. */
function sum(first: readonly Finding[], second: readonly Finding[]): readonly Finding[] {
  return [...first.filter(({ level }) => second.length === 0 || level !== 'ok'), ...second];
}

/** Nagios: 0 ok, 1 warning, 2 critical, 3 nothing worse than what could not be judged. */
export function exitCodeOf(findings: readonly Finding[]): 0 | 1 | 2 | 3 {
  const has = (level: Finding['level']) => findings.some((finding) => finding.level === level);
  if (has('critical')) return 2;
  if (has('warning')) return 1;
  return has('unknown') ? 3 : 0;
}

const unit = 'systemctl edit ollama';
const setEnv = (name: string, value: string) => `${unit}, then under [Service]: Environment=${name}=${value}; systemctl restart ollama`;

function ollamaFindings(ollama: OllamaFacts): readonly Finding[] {
  const { env, listens, version } = ollama;
  const say = saying('ollama');
  const out: Finding[] = [];
  if (version === null) out.push(say('critical', 'Ollama does not answer', ollama.url, 'systemctl restart ollama; journalctl -u ollama'));
  if (listens !== null && listens.length > 0 && listens.every((address) => address.startsWith('127.') || address === '[::1]'))
    out.push(
      say(
        'critical',
        'Ollama listens on the loopback only: nobody reaches it at the virtual address',
        'OLLAMA_HOST',
        setEnv('OLLAMA_HOST', '0.0.0.0'),
      ),
    );
  if (env === null) {
    out.push(say('unknown', "Ollama's settings cannot be read", 'its process and its unit', 'run agentctl doctor as root'));
    return out;
  }
  if (env.OLLAMA_KEEP_ALIVE === undefined)
    out.push(
      say(
        'warning',
        'models leave the memory after five minutes, so a takeover may begin with a load',
        'OLLAMA_KEEP_ALIVE',
        setEnv('OLLAMA_KEEP_ALIVE', '-1'),
      ),
    );
  if (!truthy(env.OLLAMA_NOPRUNE))
    out.push(
      say(
        'warning',
        'at its start Ollama deletes blobs that no manifest names, also those that are being copied',
        'OLLAMA_NOPRUNE',
        setEnv('OLLAMA_NOPRUNE', '1'),
      ),
    );
  if (env.OLLAMA_MAX_LOADED_MODELS === undefined)
    out.push(
      say(
        'warning',
        'how many models may be loaded follows from the hardware and may differ between nodes',
        'OLLAMA_MAX_LOADED_MODELS',
        setEnv('OLLAMA_MAX_LOADED_MODELS', '3'),
      ),
    );
  return out.length > 0 ? out : [say('ok', 'answers, and is set up for standing by', ollama.url, '')];
}

function truthy(value: string | undefined): boolean {
  return value !== undefined && !['', '0', 'false'].includes(value.toLowerCase());
}

const sameEverywhere = [
  'OLLAMA_NUM_PARALLEL',
  'OLLAMA_KEEP_ALIVE',
  'OLLAMA_CONTEXT_LENGTH',
  'OLLAMA_MAX_LOADED_MODELS',
  'OLLAMA_FLASH_ATTENTION',
  'OLLAMA_KV_CACHE_TYPE',
];

/** What must be the same on all nodes, or a takeover changes answers and speed. */
function compared(all: readonly Facts[]): readonly Finding[] {
  const known = all.filter((facts) => facts.ollama?.env != null);
  if (known.length < 2) return [];
  return sameEverywhere.flatMap((name) => {
    const values = known.map((facts) => ({ node: facts.node, value: facts.ollama?.env?.[name] ?? 'not set' }));
    if (new Set(values.map(({ value }) => value)).size === 1) return [];
    const text = values.map(({ node, value }) => `${node}: ${value}`).join(', ');
    return [saying('ollama')('warning', `differs between the nodes (${text})`, name, setEnv(name, 'the same value on every node'))];
  });
}

function kernelFindings({ kernel, redis }: Facts): readonly Finding[] {
  const say = saying('kernel');
  const { somaxconn, overcommitMemory, transparentHugepages } = kernel;
  const out: Finding[] = [];
  if (somaxconn !== null && somaxconn < 511)
    out.push(
      say(
        'warning',
        `only ${somaxconn} connections may wait to be accepted`,
        'net.core.somaxconn',
        'echo net.core.somaxconn=4096 > /etc/sysctl.d/60-ollama-ha.conf; sysctl --system',
      ),
    );
  // The managed Redis saves nothing, so it never forks; a Redis of the operator's own may.
  if (overcommitMemory === 2)
    out.push(
      say(
        'warning',
        'strict memory accounting: a large model may fail to load although memory is free',
        'vm.overcommit_memory',
        'sysctl -w vm.overcommit_memory=1',
      ),
    );
  if (transparentHugepages === 'always' && redis !== null && redis.some((server) => server.p99Ms > 20))
    out.push(
      say(
        'warning',
        'transparent huge pages are always on, and Redis is slow',
        '/sys/kernel/mm/transparent_hugepage/enabled',
        'echo madvise > /sys/kernel/mm/transparent_hugepage/enabled',
      ),
    );
  if (somaxconn === null && overcommitMemory === null) out.push(say('unknown', 'the settings cannot be read', '/proc/sys', ''));
  return out.length > 0
    ? out
    : [say('ok', 'fits', `somaxconn ${somaxconn}, overcommit ${overcommitMemory}, huge pages ${transparentHugepages}`, '')];
}

const slowBytesPerSecond = 100e6;

function storeFindings(store: StoreFacts): readonly Finding[] {
  const say = saying('store');
  if (store.problem !== null) return [say('critical', store.problem, store.path, `install -d -o ollama -g ollama ${store.path}`)];
  const out: Finding[] = [];
  const { freeBytes, reserveBytes, readBytesPerSecond } = store;
  if (freeBytes !== null && freeBytes < reserveBytes)
    out.push(
      say(
        'critical',
        `${gib(freeBytes)} free, less than replication.reserveBytes (${gib(reserveBytes)}): nothing is copied`,
        store.path,
        'agentctl models list; ollama rm NAME on the active node',
      ),
    );
  else if (freeBytes !== null && freeBytes < 2 * reserveBytes)
    out.push(say('warning', `${gib(freeBytes)} free: the next model may not fit`, store.path, `df -h ${store.path}`));
  if (readBytesPerSecond !== null && readBytesPerSecond < slowBytesPerSecond)
    out.push(
      say(
        'warning',
        `models are read at ${Math.round(readBytesPerSecond / 1e6)} MB/s: a load after a takeover takes long`,
        store.path,
        'move the store to a faster disk',
      ),
    );
  return out.length > 0
    ? out
    : [say('ok', `readable and writable, ${freeBytes === null ? 'room unknown' : `${gib(freeBytes)} free`}`, store.path, '')];
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

function clockFindings({ clock }: Facts): readonly Finding[] {
  const say = saying('clock');
  // The lease does not rest on it; certificates, planned times and logs do.
  if (clock.synchronized === null)
    return [say('unknown', 'whether the clock is synchronized cannot be found out', 'timedatectl', 'timedatectl')];
  if (clock.synchronized) return [say('ok', 'the clock is synchronized', 'timedatectl', '')];
  return [
    say(
      'warning',
      'the clock is not synchronized: certificates, planned switchovers and logs need it',
      'timedatectl',
      'apt-get install chrony',
    ),
  ];
}

const expiryDays = 30;

function pkiFindings({ file, what, daysLeft }: Facts['pki'][number]): readonly Finding[] {
  const say = saying('pki');
  const order = what === 'ca' ? 'agentctl pki rotate --help' : 'agentctl pki issue --renew --dir DIRECTORY --node ID --out DIRECTORY';
  if (daysLeft === null) return [say('critical', 'there is no certificate that can be read', file, order)];
  if (daysLeft < 0) return [say('critical', `expired ${-daysLeft} days ago`, file, order)];
  if (daysLeft < expiryDays) return [say('warning', `expires in ${daysLeft} days`, file, order)];
  return [say('ok', `valid for ${daysLeft} days`, file, '')];
}

function redisFindings({ redis, agent }: Facts): readonly Finding[] {
  const say = saying('redis');
  if (redis === null || agent === null) return [];
  const down = redis.filter((server) => !server.up);
  const majority = redis.length - down.length > redis.length / 2;
  const slow = redis.filter((server) => server.up && server.p99Ms > agent.commandTimeoutMs / 2);
  const out = [
    ...down.map(({ server }) =>
      say(majority ? 'warning' : 'critical', 'this lease server does not answer', server, 'agentctl redis status'),
    ),
    ...slow.map(({ server, p99Ms }) =>
      say(
        'warning',
        `p99 of ${p99Ms.toFixed(0)} ms is more than half of redis.commandTimeoutMs (${agent.commandTimeoutMs})`,
        server,
        'a calmer preset: lease.preset: standard or relaxed',
      ),
    ),
  ];
  return out.length > 0 ? out : [say('ok', `${redis.length} of ${redis.length} lease servers answer`, 'agentctl redis status', '')];
}

function agentFindings({ agent }: Facts): readonly Finding[] {
  const say = saying('agent');
  if (agent === null)
    return [
      say(
        'unknown',
        'the local agent does not answer',
        'ollama-ha-agent',
        'systemctl status ollama-ha-agent; journalctl -u ollama-ha-agent',
      ),
    ];
  const out: Finding[] = [];
  for (const what of ['agent', 'ollama'] as const) {
    const seen = agent.versions.filter((row) => row[what] !== '');
    if (new Set(seen.map((row) => row[what])).size > 1)
      out.push(
        say(
          'warning',
          `versions of ${what} differ (${seen.map((row) => `${row.node}: ${row[what]}`).join(', ')})`,
          'all nodes',
          'install the same version on every node',
        ),
      );
  }
  if (agent.loopLateP99Ms !== null && agent.loopLateP99Ms > agent.renewMs / 2)
    out.push(
      say(
        'warning',
        `the agent runs up to ${agent.loopLateP99Ms} ms late, more than half of lease.renewMs (${agent.renewMs})`,
        'lease.preset',
        'a calmer preset, or less load on this host',
      ),
    );
  return out.length > 0 ? out : [say('ok', 'answers, runs in time, same versions everywhere', 'agentctl status', '')];
}

function vipFindings(vip: VipFacts): readonly Finding[] {
  const say = saying('vip');
  const out: Finding[] = [];
  const needed = {
    ss: 'iproute2',
    arping: 'iputils-arping',
    ...(vip.fence === 'off' ? {} : { nft: 'nftables' }),
    ...(vip.driver === 'keepalived' ? { keepalived: 'keepalived' } : {}),
  };
  for (const [program, name] of Object.entries(needed))
    if (!vip.programs[program as keyof VipFacts['programs']])
      out.push(say('critical', `${program} is not installed`, 'PATH', `apt-get install ${name}`));
  if (vip.interfaceUp === false)
    out.push(say('critical', 'the interface is down or does not exist', `vip.interface ${vip.interface}`, 'ip -br link'));
  if (vip.fence !== 'off' && vip.fenceLoaded === false)
    out.push(
      say(
        vip.fence === 'required' ? 'critical' : 'warning',
        'the kernel fence is not loaded',
        'nft table netdev ollama_ha_fence',
        'agentctl fence render > /etc/ollama-ha/fence.nft; systemctl start ollama-ha-fence',
      ),
    );
  // Answering for an address of another interface would let a standby speak for the address.
  if (vip.arpIgnore !== null && vip.arpIgnore >= 8)
    out.push(
      say(
        'critical',
        'this host answers no ARP request at all',
        `net.ipv4.conf.${vip.interface}.arp_ignore`,
        `sysctl -w net.ipv4.conf.${vip.interface}.arp_ignore=1`,
      ),
    );
  for (const problem of vip.keepalivedProblems ?? [])
    out.push(say('critical', problem, '/etc/keepalived', 'agentctl keepalived install; agentctl keepalived check'));
  if (vip.vrrpDropped === true)
    out.push(
      say(
        'critical',
        'a firewall rule of this host drops VRRP (protocol 112)',
        'nft list ruleset',
        'nft insert rule inet filter input meta l4proto vrrp accept',
      ),
    );
  return out.length > 0 ? out : [say('ok', `${vip.driver} on ${vip.interface}, fence ${vip.fence}`, 'vip', '')];
}

function saying(part: Part) {
  return (level: Finding['level'], what: string, where: string, change: string): Finding => ({ part, level, what, where, change });
}
