// How each failure of a drill is made, and what takes it back. Nothing is done before `inject`.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { redisServersOf } from '../config/derive.ts';
import type { Config } from '../config/schema.ts';
import { outputOf } from './doctor-run.ts';
import { DRILL_TABLE, startTicksOf, type Undo } from './drill-guard.ts';
import type { DrillKind } from './drill-plan.ts';
import { CliError } from './errors.ts';

/** A failure that is ready to be made. */
export type Fault = {
  /** What `inject` does, for the timeline. */
  readonly what: string;
  readonly undo: Undo;
  readonly inject: () => Promise<void>;
};

const nothing: Undo = { cont: null, table: false, unit: null };

/** Finds what the failure needs. Throws a CliError where it cannot be found, or would not come back by itself. */
export async function faultOf(kind: DrillKind, config: Config, holdMs: number): Promise<Fault> {
  switch (kind) {
    case 'stop-ollama':
      return await stopOllama(config);
    case 'kill-agent':
      return killed('the agent', await agentPid(config));
    case 'freeze':
      return frozen('the agent', await agentPid(config));
    case 'partition':
      return partition(config, holdMs);
    case 'redis':
      return frozen('the managed Redis server', redisPid(config));
  }
}

async function stopOllama(config: Config): Promise<Fault> {
  const port = new URL(config.ollama?.url ?? 'http://127.0.0.1:11434').port || '11434';
  const pid = pidIn(await outputOf('ss', ['-ltnpH', `sport = :${port}`]));
  if (pid === null) throw unfound(`no process listens on port ${port}`, 'ollama.url', 'run agentctl doctor --only ollama as root');
  const unit = unitOf(pid);
  if (unit === null) return killed('Ollama', pid);
  return {
    what: `${unit} stopped`,
    undo: { ...nothing, unit },
    inject: async () => {
      if ((await outputOf('systemctl', ['stop', '--no-block', unit])) === null)
        throw unfound(`systemctl cannot stop ${unit}`, unit, 'systemctl status');
    },
  };
}

/** Killed for good only where nobody starts it again: such a one is refused. */
function killed(what: string, pid: number): Fault {
  const unit = unitOf(pid);
  if (unit === null && parentOf(pid) <= 1)
    throw unfound(`${what} has no service manager that would start it again`, `process ${pid}`, 'run it by systemd, as the package does');
  return {
    what: `${what} killed (process ${pid})`,
    undo: { ...nothing, unit },
    inject: async () => void process.kill(pid, 'SIGKILL'),
  };
}

function frozen(what: string, pid: number): Fault {
  return {
    what: `${what} frozen (process ${pid})`,
    undo: { ...nothing, cont: { pid, startTicks: startTicksOf(pid) } },
    inject: async () => void process.kill(pid, 'SIGSTOP'),
  };
}

async function agentPid({ paths }: Config): Promise<number> {
  const socket = join(paths.run, 'agent.sock');
  const lines = (await outputOf('ss', ['-xlpnH']))?.split('\n') ?? [];
  const pid = pidIn(lines.find((line) => line.split(/\s+/).includes(socket)) ?? null);
  if (pid === null) throw unfound('the process of the agent cannot be found', socket, 'systemctl status ollama-ha-agent');
  return pid;
}

function redisPid({ paths }: Config): number {
  const file = join(paths.run, 'redis.pid');
  const pid = Number.parseInt(textOf(file), 10);
  if (pid > 1 && textOf(`/proc/${pid}/comm`).startsWith('redis')) return pid;
  throw unfound('the managed Redis server does not run', file, 'agentctl redis status');
}

/** The kernel ends the cut by itself: the ports leave the set after `holdMs`, whatever becomes of anybody. */
function partition(config: Config, holdMs: number): Fault {
  const ports = [...new Set([config.ports.peer, config.ports.blobs, ...redisServersOf(config).map((server) => server.port)])];
  return {
    what: `cut off on the TCP ports ${ports.join(', ')}`,
    undo: { ...nothing, table: true },
    inject: async () => {
      // What an earlier one left behind is empty by now.
      await outputOf('nft', ['delete', 'table', 'inet', DRILL_TABLE]);
      await load(partitionText(ports, holdMs));
    },
  };
}

/** The table, for `nft -f`. The loopback stays open: a node cannot be cut off from itself. */
function partitionText(ports: readonly number[], holdMs: number): string {
  const elements = ports.map((port) => `${port} timeout ${Math.ceil(holdMs / 1000)}s`).join(', ');
  const chain = (hook: 'input' | 'output', device: string) =>
    `chain ${hook} { type filter hook ${hook} priority -300; ${device} != "lo" tcp dport @cut drop; ${device} != "lo" tcp sport @cut drop; }`;
  return `table inet ${DRILL_TABLE} {
set cut { type inet_service; flags timeout; elements = { ${elements} }; }
${chain('input', 'iifname')}
${chain('output', 'oifname')}
}
`;
}

function load(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = execFile('/usr/sbin/nft', ['-f', '-'], { timeout: 5000 }, (error, _out, err) => {
      if (error === null) resolve();
      else reject(unfound(`nft refuses: ${err.split('\n')[0] || error.message}`, DRILL_TABLE, 'apt-get install nftables'));
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(text);
  });
}

function pidIn(text: string | null): number | null {
  const pid = /pid=(\d+)/.exec(text ?? '')?.[1];
  return pid === undefined ? null : Number(pid);
}

/** The systemd service that a process belongs to; null where there is none, as in a container. */
function unitOf(pid: number): string | null {
  if (!existsSync('/run/systemd/system')) return null;
  return /\/([\w@.-]+\.service)$/m.exec(textOf(`/proc/${pid}/cgroup`))?.[1] ?? null;
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function unfound(message: string, where: string, hint: string): CliError {
  return new CliError({ code: 'drill', message: `${message}; nothing was done`, where, hint });
}
