// Facts that take asking others: clocks of other nodes, packets on their way, what nginx and systemd say. Each bounded in time.
import { execFile } from 'node:child_process';
import { lstatSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentStatus } from './doctor-facts.ts';
import { outputOf } from './doctor-run.ts';
import type { Facts } from './doctor-types.ts';

const NODES_MAX = 32;

/** Clocks of the living nodes against this host's. The answer counts as given in the middle of the wait for it. */
export async function clocksOf(
  nodes: AgentStatus['nodes'],
  self: string,
  ask: (host: string) => Promise<AgentStatus>,
): Promise<Facts['clock']['others']> {
  const others = nodes.filter(({ node, state }) => node !== self && state === 'alive').slice(0, NODES_MAX);
  const found = await Promise.all(
    others.map(async ({ node }) => {
      const from = Date.now();
      const wall = Number((await ask(node).catch(() => null))?.wallMs ?? 0);
      const unsureMs = (Date.now() - from) / 2;
      return wall === 0 ? [] : [{ node, aheadMs: wall - (from + unsureMs), unsureMs }];
    }),
  );
  return found.flat();
}

const TABLE = 'ollama_ha_doctor';
const LISTEN_MS = 1000;
/** Before every rule of the host: what arrives is counted also where a firewall drops it later. */
const counter = `table inet ${TABLE} {\nchain in {\ntype filter hook input priority -400;\nmeta l4proto 112 counter;\n}\n}\n`;

/** VRRP packets that reach this host within a second, by a counter that is there only so long; null without root or nft. */
export async function advertsHeard(): Promise<number | null> {
  if (!(await loaded(counter))) return null;
  try {
    await delay(LISTEN_MS);
    const text = await outputOf('nft', ['list', 'table', 'inet', TABLE]);
    const packets = /counter packets (\d+)/.exec(text ?? '')?.[1];
    return packets === undefined ? null : Number(packets);
  } finally {
    await outputOf('nft', ['delete', 'table', 'inet', TABLE]);
  }
}

function loaded(text: string): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { timeout: 3000, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } };
    const child = execFile('/usr/sbin/nft', ['-f', '-'], options, (error) => resolve(error === null));
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(text);
  });
}

/** What `nginx -t` says; '' = it takes its configuration, null = it could not be asked. */
export async function nginxFacts(nginx: {
  program: string;
  config?: string | undefined;
  file: string;
}): Promise<NonNullable<Facts['nginx']>> {
  const args = ['-t', ...(nginx.config === undefined ? [] : ['-c', nginx.config])];
  const problem = await new Promise<string | null>((resolve) => {
    execFile(nginx.program, args, { timeout: 5000, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } }, (error, _out, err) => {
      if (error === null) return resolve('');
      const line = err.split('\n').find((text) => text.includes('[emerg]')) ?? err.split('\n')[0];
      // Other users may read neither its files nor its pid file: that says nothing about the configuration.
      resolve(typeof error.code !== 'number' || /Permission denied/.test(err) ? null : (line ?? '').slice(0, 300));
    });
  });
  return { file: nginx.file, problem };
}

const LOOK_MAX = 2000;

/** Directories and files of the store whose owner is another one than the store's. */
export function foreignIn(store: string): readonly string[] {
  const owner = lstatSync(store).uid;
  const paths = ['blobs', 'manifests'].flatMap((name) => [join(store, name), ...namesIn(join(store, name))]);
  return paths.filter((path) => uidOf(path) !== owner).slice(0, 20);
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
      .slice(0, LOOK_MAX)
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}

function uidOf(path: string): number {
  return lstatSync(path, { throwIfNoEntry: false })?.uid ?? lstatSync(dirname(dirname(path))).uid;
}

/** Whether the unit of the agent may write to a directory; null where systemd does not tell, or no unit is there. */
export async function unitMayWriteTo(path: string): Promise<boolean | null> {
  const text = await outputOf('systemctl', ['show', 'ollama-ha-agent.service', '--property=LoadState,ProtectSystem,ReadWritePaths']);
  const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text ?? '')?.[1] ?? '';
  if (value('LoadState') !== 'loaded') return null;
  if (value('ProtectSystem') !== 'strict') return true;
  const open = value('ReadWritePaths')
    .split(' ')
    .map((word) => word.replace(/^[-+]+/, '').replace(/\/+$/, ''));
  return open.some((root) => root !== '' && (path === root || path.startsWith(`${root}/`)));
}
