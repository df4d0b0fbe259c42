// From facts to findings, second half: what lies between the nodes, and between the agent and other services of its host. Pure.
import type { Facts, Finding, Part } from './doctor-types.ts';

const saying = (part: Part) => {
  return (level: Finding['level'], what: string, where: string, change: string): Finding => ({ part, level, what, where, change });
};

/** More than this, and times of history and planned switchovers mislead, ms. */
const SKEW_WARNING_MS = 1000;
/** Certificates that have just been issued are not valid yet on a clock that is so far behind, ms. */
const SKEW_CRITICAL_MS = 60_000;

/** Clocks of other nodes against this one's. */
export function skewFindings({ clock }: Facts): readonly Finding[] {
  return clock.others.flatMap(({ node, aheadMs, unsureMs }) => {
    const far = Math.abs(aheadMs) - unsureMs;
    if (far <= SKEW_WARNING_MS) return [];
    const text = `the clock of ${node} is ${Math.round(Math.abs(aheadMs))} ms ${aheadMs > 0 ? 'ahead of' : 'behind'} this one`;
    return [saying('clock')(far > SKEW_CRITICAL_MS ? 'critical' : 'warning', text, node, 'apt-get install chrony on both')];
  });
}

/** What reaches the address, and whether it may be bound. */
export function addressFindings({ vip, ollama, kernel, agent }: Facts): readonly Finding[] {
  if (vip === null) return [];
  const out: Finding[] = [];
  const say = saying('vip');
  const plain = vip.addresses.map((address) => address.split('/')[0] ?? '');
  const bound = ollama?.env?.OLLAMA_HOST?.replace(/^https?:\/\//, '').replace(/:\d+$/, '') ?? '';
  if (plain.includes(bound) && kernel.nonlocalBind === 0)
    out.push(
      say(
        'critical',
        'Ollama binds the virtual address, which a standby has not: it cannot start there',
        'OLLAMA_HOST, net.ipv4.ip_nonlocal_bind',
        'OLLAMA_HOST=0.0.0.0, or sysctl -w net.ipv4.ip_nonlocal_bind=1',
      ),
    );
  const listens = ollama?.listens ?? [];
  const reaches = (address: string) => ['*', '0.0.0.0', '[::]', ...plain].includes(address);
  if (listens.length > 0 && !listens.some(reaches) && !listens.every((address) => /^(127\.|\[::1\])/.test(address)))
    out.push(
      say(
        'critical',
        `Ollama listens on ${listens.join(', ')} only: nobody reaches it at the virtual address`,
        'OLLAMA_HOST',
        'OLLAMA_HOST=0.0.0.0',
      ),
    );
  if (vip.arpIgnore !== null && vip.arpIgnore > 0 && vip.arpIgnore < 8 && vip.arpAnnounce === 0)
    out.push(
      say(
        'warning',
        `ARP requests may go out in the name of another address (arp_ignore ${vip.arpIgnore}, arp_announce 0)`,
        `net.ipv4.conf.${vip.interface}.arp_announce`,
        `sysctl -w net.ipv4.conf.${vip.interface}.arp_announce=2`,
      ),
    );
  if (vip.advertsHeard === 0)
    out.push(
      say(
        'critical',
        `no VRRP advert (${vip.adverts}) of the active node reaches this host`,
        'protocol 112',
        vip.adverts === 'multicast'
          ? 'let switches and firewalls pass 224.0.0.18, protocol 112; agentctl keepalived check on the active node'
          : 'let firewalls between the nodes pass protocol 112; agentctl keepalived check on the active node',
      ),
    );
  if (agent?.wire.two === true)
    out.push(say('critical', 'two machines answer ARP requests for the address', vip.interface, 'docs/runbooks.md, split brain alarm'));
  else if (agent !== null && agent.wire.owner !== '' && agent.wire.holder !== '' && agent.wire.owner !== agent.wire.holder)
    out.push(
      say(
        'critical',
        `${agent.wire.owner} answers ARP requests for the address, and ${agent.wire.holder} is active`,
        vip.interface,
        'agentctl status',
      ),
    );
  return out;
}

/** Who may write where the models lie. */
export function writerFindings({ store }: Facts): readonly Finding[] {
  if (store === null || store.problem !== null) return [];
  const say = saying('store');
  return [
    ...(store.foreign.length === 0
      ? []
      : [
          say(
            'warning',
            `belongs to another user than the store: ${store.foreign.slice(0, 3).join(', ')}; Ollama may fail to write there`,
            store.path,
            `chown -R --reference=${store.path} ${store.path}`,
          ),
        ]),
    ...(store.unitMayWrite === false
      ? [
          say(
            'critical',
            "the agent's unit may not write there: nothing is copied to this node",
            store.path,
            `systemctl edit ollama-ha-agent, then under [Service]: ReadWritePaths=${store.path}`,
          ),
        ]
      : []),
  ];
}

/** nginx, where this host balances. */
export function nginxFindings({ nginx }: Facts): readonly Finding[] {
  if (nginx === null) return [];
  const say = saying('nginx');
  if (nginx.problem === null) return [say('unknown', 'nginx -t could not be run', nginx.file, 'run agentctl doctor as root')];
  if (nginx.problem !== '') return [say('critical', `nginx -t: ${nginx.problem}`, nginx.file, 'nginx -t')];
  return [say('ok', 'nginx takes its configuration', nginx.file, '')];
}
