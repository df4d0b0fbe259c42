// The lab's wires: one namespace per host, a veth from each to a bridge that stands in a namespace of its own,
// so that no rule or bridge filter of the machine reaches it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { must } from './command.ts';
import { namespaceOf, prefixLength, switchName } from './names.ts';

/** One station on the bridge. */
export type Station = { readonly name: string; readonly address: string; readonly mac: string };

/** Builds the bridge and one namespace per station; interface eth0 everywhere, lo up. `hosts`: more lines for their /etc/hosts. */
export async function buildNetwork(id: string, stations: readonly Station[], hosts: readonly string[]): Promise<void> {
  const bridge = namespaceOf(id, switchName);
  await must(['ip', 'netns', 'add', bridge]);
  await ip(bridge, 'link set lo up\nlink add br0 type bridge forward_delay 0 mcast_snooping 0\nlink set br0 up\n');
  for (const station of stations) {
    const namespace = namespaceOf(id, station.name);
    await must(['ip', 'netns', 'add', namespace]);
    writeHostsFile(namespace, stations, hosts);
    await ip(bridge, `link add ${station.name} type veth peer name eth0 netns ${namespace}\nlink set ${station.name} master br0 up\n`);
    await ip(
      namespace,
      `link set lo up\nlink set eth0 address ${station.mac} up\naddress add ${station.address}/${prefixLength} dev eth0\n`,
    );
  }
}

/** Pulls or plugs a host's cable: the port of the bridge goes down, the host sees its carrier go. */
export async function setCable(id: string, host: string, state: 'up' | 'down'): Promise<void> {
  await must(['ip', '-n', namespaceOf(id, switchName), 'link', 'set', host, state]);
}

/** Shuts or opens a host's port of the bridge: nothing passes, yet the host keeps its carrier, as behind a broken switch. */
export async function setPort(id: string, host: string, state: 'open' | 'shut'): Promise<void> {
  await must(['bridge', '-n', namespaceOf(id, switchName), 'link', 'set', 'dev', host, 'state', state === 'open' ? '3' : '0']);
}

/** Limits what the network delivers to a host (tbf on its bridge port); null removes the limit. */
export async function setRate(id: string, host: string, bitsPerSecond: number | null): Promise<void> {
  const device = ['tc', '-n', namespaceOf(id, switchName), 'qdisc'];
  if (bitsPerSecond === null) return void (await must([...device, 'del', 'dev', host, 'root']));
  const rate = ['rate', `${bitsPerSecond}bit`, 'burst', '64kb', 'latency', '100ms'];
  await must([...device, 'replace', 'dev', host, 'root', 'tbf', ...rate]);
}

async function ip(namespace: string, batch: string): Promise<void> {
  await must(['ip', '-n', namespace, '-batch', '-'], { input: batch });
}

function writeHostsFile(namespace: string, stations: readonly Station[], hosts: readonly string[]): void {
  const lines = ['127.0.0.1 localhost', ...stations.map((s) => `${s.address} ${s.name}`), ...hosts];
  mkdirSync(`/etc/netns/${namespace}`, { recursive: true });
  writeFileSync(`/etc/netns/${namespace}/hosts`, `${lines.join('\n')}\n`);
}
