// A whole cluster in network namespaces on this machine: hosts, wires, faults, probers, and an end that leaves nothing.
import { spawn } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setClock } from './clock.ts';
import { type Outcome, type RunOptions, run } from './command.ts';
import { type Cut, setCut } from './filter.ts';
import { type Host, type MadeHost, makeHost } from './host.ts';
import type { HostPlan, Kit } from './kit.ts';
import { checkLabId, clientAddress, clientName, dataRoot, macOf, monoMs, namespaceOf, nodeAt, runRoot } from './names.ts';
import { buildNetwork, setCable, setPort, setRate } from './network.ts';
import { type Prober, type ProberOptions, startProber } from './prober/prober.ts';
import { makeRunDirectory } from './run-files.ts';
import { destroyAtExit, destroyLab, forgetAtExit } from './teardown.ts';

/** What to build. `hostAliases`: more `ADDRESS NAME` lines for every host's /etc/hosts. */
export type LabOptions = {
  readonly id: string;
  readonly nodes: number;
  readonly kit: Kit;
  readonly hostAliases?: readonly string[];
};

/** A running lab. Every fault returns the moment of its injection in monotonic ms, taken before it acts. */
export type Lab = AsyncDisposable & {
  readonly id: string;
  readonly hosts: readonly Host[];
  /** The host of this name; an error when there is none. */
  host(name: string): Host;
  /** Name of the host with this MAC, '' for none. */
  hostByMac(mac: string): string;
  /** Runs a program on the client host; `daemon` starts one that lives until the lab ends. */
  readonly client: {
    exec(argv: readonly string[], options?: RunOptions): Promise<Outcome>;
    daemon(name: string, argv: readonly string[]): void;
  };
  prober(options?: ProberOptions): Prober;
  /** A host dies: cable out, then kill -9 of everything on it, its service manager included. */
  killHost(host: Host): Promise<number>;
  /** It boots again: empty /run, no packet filter, no VIP; then its services start. */
  reviveHost(host: Host): Promise<void>;
  linkDown(host: Host): Promise<number>;
  linkUp(host: Host): Promise<number>;
  /** Nothing reaches or leaves the host any more, or it does again; the host's carrier stays. */
  shutPort(host: Host): Promise<number>;
  openPort(host: Host): Promise<number>;
  /** Replaces the host's cuts; `{}` heals all. */
  cut(host: Host, cut: Cut): Promise<number>;
  /** Limits what reaches the host, bits per second; null = no limit. */
  rate(host: Host, bitsPerSecond: number | null): Promise<number>;
  /** Sets the wall clock that the host's stepped services see this far ahead (or behind). See clock.ts. */
  clockStep(host: Host, offsetMs: number): number;
  /** The lab outlives this process; `make lab-down` ends it. */
  keep(): void;
  destroy(): void;
};

/** Builds the network and the hosts and starts all services. An older lab with this id is destroyed first; on failure nothing is left. */
export async function createLab(options: LabOptions): Promise<Lab> {
  checkLabId(options.id);
  if (process.getuid?.() !== 0) throw new Error('a lab needs root: network namespaces, nftables and keepalived');
  destroyLab(options.id);
  makeRunDirectory(options.id);
  destroyAtExit(options.id);
  try {
    return await build(options);
  } catch (error) {
    destroyLab(options.id);
    forgetAtExit(options.id);
    throw error;
  }
}

async function build({ id, nodes, kit, hostAliases = [] }: LabOptions): Promise<Lab> {
  const plans = makePlans(id, nodes);
  const stations = plans.map(({ name, address }, i) => ({ name, address, mac: macOf(i + 1) }));
  const client = { name: clientName, address: clientAddress, mac: macOf(200) };
  await buildNetwork(id, [...stations, client], hostAliases);
  await kit.prepareLab?.(plans);
  const made = await Promise.all(plans.map((plan) => makeHost(plan, kit)));
  await Promise.all(made.map((m) => m.boot()));
  await Promise.all(made.map((m) => m.host.start()));
  return labOf(id, made);
}

function makePlans(id: string, nodes: number): HostPlan[] {
  const peers = Array.from({ length: nodes }, (_, i) => nodeAt(i + 1));
  return peers.map(({ name, address }) => {
    const dataDir = rootOwned(dataRoot, id, name);
    const logDir = rootOwned(dataDir, 'log');
    const runDir = rootOwned(runRoot, id, name);
    return { id, name, namespace: namespaceOf(id, name), address, peers, runDir, dataDir, logDir };
  });
}

/** Makes a directory and its parents 0755, whatever the umask. */
function rootOwned(root: string, ...parts: readonly string[]): string {
  let path = root;
  for (const part of ['', ...parts]) {
    path = join(path, part);
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o755);
  }
  return path;
}

function labOf(id: string, made: readonly MadeHost[]): Lab {
  const hosts = made.map((m) => m.host);
  const inner = (host: Host): MadeHost => {
    const found = made.find((m) => m.host === host);
    if (found === undefined) throw new Error(`${host.name} is not a host of lab ${id}`);
    return found;
  };
  const timed = async (act: () => Promise<void>): Promise<number> => {
    const at = monoMs();
    await act();
    return at;
  };
  const destroy = (): void => {
    destroyLab(id);
    forgetAtExit(id);
  };
  return {
    id,
    hosts,
    host: (name) => {
      const found = hosts.find((h) => h.name === name);
      if (found === undefined) throw new Error(`no host "${name}" in lab ${id}; there are ${hosts.map((h) => h.name).join(', ')}`);
      return found;
    },
    hostByMac: (mac) => hosts.find((_, i) => macOf(i + 1) === mac)?.name ?? '',
    client: clientOf(id),
    prober: (options) => startProber(id, options),
    killHost: (host) =>
      timed(async () => {
        await setCable(id, host.name, 'down');
        inner(host).crash();
      }),
    reviveHost: async (host) => {
      await inner(host).boot();
      await setCable(id, host.name, 'up');
      await host.start();
    },
    linkDown: (host) => timed(() => setCable(id, host.name, 'down')),
    linkUp: (host) => timed(() => setCable(id, host.name, 'up')),
    shutPort: (host) => timed(() => setPort(id, host.name, 'shut')),
    openPort: (host) => timed(() => setPort(id, host.name, 'open')),
    cut: (host, cut) => timed(() => setCut(id, host.name, cut)),
    rate: (host, bitsPerSecond) => timed(() => setRate(id, host.name, bitsPerSecond)),
    clockStep: (host, offsetMs) => {
      const at = monoMs();
      setClock(host.plan, offsetMs);
      return at;
    },
    keep: () => forgetAtExit(id),
    destroy,
    [Symbol.asyncDispose]: async () => destroy(),
  };
}

function clientOf(id: string): Lab['client'] {
  const inside = ['netns', 'exec', namespaceOf(id, clientName)];
  return {
    exec: (argv, options) => run(['ip', ...inside, ...argv], options),
    daemon: (name, argv) => {
      const log = openSync(join(rootOwned(dataRoot, id, clientName), `${name}.log`), 'a');
      const child = spawn('ip', [...inside, ...argv], { cwd: '/', detached: true, stdio: ['ignore', log, log] });
      closeSync(log);
      child.unref();
    },
  };
}
