// Collects what the doctor judges: reads files and asks programs of this host, each bounded in time, and changes nothing. What cannot be found
// out is null.
import { X509Certificate } from 'node:crypto';
import { accessSync, closeSync, constants, openSync, readdirSync, readFileSync, readlinkSync, readSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import { UNICAST_NODES_MAX } from '../core/vip/keepalived-conf.ts';
import { through } from './agent-client.ts';
import type { CommandContext } from './context.ts';
import { advertsHeard, clocksOf, foreignIn, nginxFacts, unitMayWriteTo } from './doctor-live.ts';
import { outputOf, programs } from './doctor-run.ts';
import type { Facts, OllamaFacts, StoreFacts, VipFacts } from './doctor-types.ts';
import { INCLUDED } from './keepalived-check.ts';

/** Everything of this host. `status` asks the local agent; it rejects when there is none. */
export async function collectFacts(config: Config, status: (host?: string) => Promise<AgentStatus>): Promise<Facts> {
  const asked = await status().catch(() => null);
  const standby = asked !== null && asked.holder !== '' && asked.holder !== config.node.id;
  const [ollama, synchronized, others, vip, nginx, unitMayWrite] = await Promise.all([
    config.ollama === null ? null : ollamaFacts(config.ollama.url),
    clockFacts(),
    asked === null ? [] : clocksOf(asked.nodes, config.node.id, status),
    config.vip === null || config.vip.driver === 'none' ? null : vipFacts(config, standby),
    config.nginx === undefined ? null : nginxFacts(config.nginx),
    config.ollama === null ? null : unitMayWriteTo(config.ollama.store),
  ]);
  return {
    node: config.node.id,
    ollama,
    kernel: {
      somaxconn: numberIn('/proc/sys/net/core/somaxconn'),
      overcommitMemory: numberIn('/proc/sys/vm/overcommit_memory'),
      nonlocalBind: numberIn('/proc/sys/net/ipv4/ip_nonlocal_bind'),
      transparentHugepages: /\[(\w+)\]/.exec(textIn('/sys/kernel/mm/transparent_hugepage/enabled') ?? '')?.[1] ?? null,
    },
    store: config.ollama === null ? null : { ...storeFacts(config.ollama.store, config.replication.reserveBytes), unitMayWrite },
    clock: { synchronized, others },
    pki: [
      { file: config.pki.ca, what: 'ca' as const, daysLeft: daysLeft(config.pki.ca) },
      { file: config.pki.cert, what: 'cert' as const, daysLeft: daysLeft(config.pki.cert) },
    ],
    redis: asked === null ? null : asked.redis.map(({ server, up, latencyP99Ms }) => ({ server, up, p99Ms: latencyP99Ms })),
    agent:
      asked === null
        ? null
        : {
            commandTimeoutMs: config.redis.commandTimeoutMs,
            renewMs: config.lease.renewMs,
            loopLateP99Ms: asked.loopLateP99Ms < 0 ? null : asked.loopLateP99Ms,
            versions: asked.nodes.map(({ node, version, ollamaVersion }) => ({ node, agent: version, ollama: ollamaVersion })),
            wire: { holder: asked.holder, owner: asked.vipOwner, two: asked.splitBrain },
          },
    vip,
    nginx,
  };
}

/** What is used of the agent's status. */
export type AgentStatus = {
  readonly redis: readonly { readonly server: string; readonly up: boolean; readonly latencyP99Ms: number }[];
  readonly nodes: readonly { readonly node: string; readonly state: string; readonly version: string; readonly ollamaVersion: string }[];
  readonly loopLateP99Ms: number;
  readonly holder: string;
  readonly vipOwner: string;
  readonly splitBrain: boolean;
  readonly wallMs: bigint;
};

/** The status of the agent that the command line names, or of another node's, as fast as it comes on an open connection. */
export async function askStatus(ctx: CommandContext, host?: string): Promise<AgentStatus> {
  const { withAgent } = await import('./agent-client.ts');
  return await withAgent(host === undefined ? ctx : through(ctx, host), 5000, (agent) => agent.status());
}

const ASK_MS = 2000;

async function ollamaFacts(url: string): Promise<OllamaFacts> {
  const port = new URL(url).port || '11434';
  const sockets = await outputOf('ss', ['-ltnpH', `sport = :${port}`]);
  const lines = (sockets ?? '').split('\n').filter((line) => line !== '');
  const listens = sockets === null ? null : lines.map((line) => (line.split(/\s+/)[3] ?? '').replace(/:\d+$/, ''));
  const pid = /pid=(\d+)/.exec(sockets ?? '')?.[1];
  return { url, version: await versionOf(url), env: environmentOf(pid) ?? (await environmentOfUnit()), listens };
}

async function versionOf(url: string): Promise<string | null> {
  try {
    const answer = await fetch(new URL('/api/version', url), { signal: AbortSignal.timeout(ASK_MS) });
    const { version } = (await answer.json()) as { version?: unknown };
    return typeof version === 'string' ? version.slice(0, 64) : null;
  } catch {
    return null;
  }
}

function environmentOf(pid: string | undefined): Record<string, string> | null {
  const text = pid === undefined ? null : textIn(`/proc/${pid}/environ`);
  return text === null ? null : ollamaOnly(text.split('\0'));
}

/** What the unit sets itself; files that it reads are not followed. */
async function environmentOfUnit(): Promise<Record<string, string> | null> {
  const text = await outputOf('systemctl', ['show', 'ollama.service', '--property=Environment', '--value']);
  return text === null || text.trim() === ''
    ? null
    : ollamaOnly(
        text
          .trim()
          .split(/\s+/)
          .map((word) => word.replaceAll('"', '')),
      );
}

// Other variables are nobody's business, and may be secrets.
function ollamaOnly(words: readonly string[]): Record<string, string> {
  const pairs = words.flatMap((word) => {
    const at = word.indexOf('=');
    return word.startsWith('OLLAMA_') && at > 0 ? [[word.slice(0, at), word.slice(at + 1, at + 257)] as const] : [];
  });
  return Object.fromEntries(pairs);
}

const SPEED_BYTES = 64 * 2 ** 20;

function storeFacts(path: string, reserveBytes: number): StoreFacts {
  const fact = { path, reserveBytes, freeBytes: null, readBytesPerSecond: null, foreign: [], unitMayWrite: null };
  try {
    accessSync(join(path, 'blobs'), constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // An Ollama that never pulled anything has made no directory yet.
    const problem = code === 'ENOENT' ? 'there is no blobs directory in it' : `may not be read and written (${code})`;
    return { ...fact, problem };
  }
  const { bavail, bsize } = statfsSync(path);
  return {
    ...fact,
    problem: null,
    freeBytes: bavail * bsize,
    readBytesPerSecond: readSpeed(join(path, 'blobs')),
    foreign: foreignIn(path),
  };
}

/** Reads the beginning of one large blob. What lies in memory already is as fast as a takeover will find it. */
function readSpeed(blobs: string): number | null {
  const buffer = Buffer.alloc(4 * 2 ** 20);
  for (const name of readdirSync(blobs).slice(0, 50)) {
    const file = openSync(join(blobs, name), 'r');
    try {
      const from = performance.now();
      let bytes = 0;
      for (let n = -1; n !== 0 && bytes < SPEED_BYTES; bytes += n) n = readSync(file, buffer, 0, buffer.length, bytes);
      // Smaller ones tell nothing.
      if (bytes >= SPEED_BYTES / 2) return (bytes * 1000) / (performance.now() - from);
    } finally {
      closeSync(file);
    }
  }
  return null;
}

async function clockFacts(): Promise<boolean | null> {
  const text = await outputOf('timedatectl', ['show', '--property=NTPSynchronized', '--value']);
  return text === null ? null : text.trim() === 'yes';
}

function daysLeft(file: string): number | null {
  try {
    return Math.floor((Date.parse(new X509Certificate(readFileSync(file)).validTo) - Date.now()) / 86_400_000);
  } catch {
    return null;
  }
}

async function vipFacts({ vip, paths, cluster }: Config, standby: boolean): Promise<VipFacts | null> {
  if (vip === null || vip.driver === 'none') return null;
  const name = vip.interface;
  const keepalived = vip.driver === 'keepalived';
  const [tables, ruleset] = await Promise.all([outputOf('nft', ['list', 'tables']), outputOf('nft', ['list', 'ruleset'])]);
  return {
    driver: vip.driver,
    interface: name,
    interfaceUp: interfaceUp(name),
    fence: vip.fence,
    fenceLoaded: tables === null ? null : tables.includes('netdev ollama_ha_fence'),
    arpIgnore: numberIn(`/proc/sys/net/ipv4/conf/${name}/arp_ignore`),
    arpAnnounce: numberIn(`/proc/sys/net/ipv4/conf/${name}/arp_announce`),
    programs: programs(['keepalived', 'nft', 'arping', 'ss']),
    keepalivedProblems: vip.driver === 'keepalived' ? await keepalivedProblems(vip.deadlineScript, paths.run, vip.addresses) : null,
    addresses: vip.addresses,
    adverts: cluster.nodes.length > 1 && cluster.nodes.length <= UNICAST_NODES_MAX ? 'unicast' : 'multicast',
    advertsHeard: keepalived && standby ? await advertsHeard() : null,
    vrrpDropped: vip.driver !== 'keepalived' || ruleset === null ? null : /(vrrp|ip protocol 112|l4proto 112)\b.*\bdrop\b/.test(ruleset),
  };
}

async function keepalivedProblems(script: string, runDir: string, vips: readonly string[]): Promise<readonly string[]> {
  const { checkKeepalived } = await import('./keepalived-check.ts');
  const rows = await checkKeepalived({
    file: join(INCLUDED, '../keepalived.conf'),
    script,
    daemonOptions: '/etc/default/keepalived',
    fifo: join(runDir, 'keepalived.fifo'),
    vips,
  });
  return rows.filter((row) => row.problem !== '').map((row) => `${row.what}: ${row.problem}`);
}

function interfaceUp(name: string): boolean {
  try {
    readlinkSync(`/sys/class/net/${name}`);
  } catch {
    return false;
  }
  return textIn(`/sys/class/net/${name}/carrier`)?.trim() === '1';
}

function numberIn(path: string): number | null {
  const number = Number.parseInt(textIn(path) ?? '', 10);
  return Number.isNaN(number) ? null : number;
}

function textIn(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
