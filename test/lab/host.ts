// One host of a lab: its services, its shell, its life and death.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { must, type Outcome, type RunOptions, run } from './command.ts';
import type { HostPlan, Kit } from './kit.ts';
import { monoMs, projectRoot, vipAddress } from './names.ts';
import { prioritise } from './priority.ts';
import { order, type SupervisorSpec, type UnitSpec } from './supervisor/protocol.ts';
import type { ServiceStatus } from './supervisor/service.ts';
import { killAll, signal } from './teardown.ts';

// A service manager is not kept waiting by what it manages.
const supervisorNice = -15;

/** A service of a host. Signals go to the process itself and, for keepalived, its child. */
export type ServiceHandle = {
  start(): Promise<void>;
  stop(): Promise<void>;
  status(): Promise<ServiceStatus>;
  /** Main process first, then its children. Empty when it does not run. */
  pids(): Promise<number[]>;
  /** kill -9; the service manager sees it and acts. Returns the moment of the kill, monotonic ms. */
  kill(): Promise<number>;
  /** SIGSTOP. Returns the moment. */
  freeze(): Promise<number>;
  thaw(): Promise<void>;
  /** SIGHUP, as `systemctl reload` sends it: the agent lets the next process go on. Returns the moment. */
  reload(): Promise<number>;
};

/** What `agentctl` said. `json` is its output parsed, or null. */
export type CtlOutcome = Outcome & { readonly json: unknown };

/** A host as tests see it. */
export type Host = {
  readonly name: string;
  readonly address: string;
  readonly namespace: string;
  readonly plan: HostPlan;
  /** Runs a program inside the host. */
  exec(argv: readonly string[], options?: RunOptions): Promise<Outcome>;
  agentctl(args: readonly string[], options?: RunOptions): Promise<CtlOutcome>;
  service(name: string): ServiceHandle;
  /** Starts, or in reverse order stops, all services. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Names of its units in the order of their start. */
  readonly units: readonly string[];
};

/** A host, and what only the lab does to it: `boot` starts the service manager, `crash` kills everything at once. */
export type MadeHost = { readonly host: Host; boot(): Promise<void>; crash(): void };

/** Makes a host from its plan; nothing runs until `boot` and `start`. */
export async function makeHost(plan: HostPlan, kit: Kit): Promise<MadeHost> {
  const units = await kit.prepareHost(plan);
  const socket = join(plan.runDir, 'supervisor.sock');
  const inside = (argv: readonly string[]): string[] => ['ip', 'netns', 'exec', plan.namespace, ...argv];
  const host: Host = {
    name: plan.name,
    address: plan.address,
    namespace: plan.namespace,
    plan,
    units: units.map((unit) => unit.name),
    exec: (argv, options) => run(inside(argv), options),
    agentctl: async (args, options) => {
      const config = kit.configFile?.(plan) ?? '/etc/ollama-ha/agent.yaml';
      const argv = [process.execPath, join(projectRoot, 'src/main.ts'), 'agentctl', '--config', config, ...args];
      const out = await run(inside(argv), { env: { ...process.env, NO_COLOR: '1' }, ...options });
      return { ...out, json: parsed(out.stdout) };
    },
    service: (name) => serviceHandle(name, socket, kit.pidFiles?.(plan)[name]),
    start: async () => {
      for (const unit of units) await order(socket, { op: 'start', unit: unit.name });
    },
    stop: async () => {
      for (const unit of units.toReversed()) await order(socket, { op: 'stop', unit: unit.name });
    },
  };
  return { host, boot: () => boot(plan, kit, units, socket), crash: () => killAll(plan.namespace) };
}

/** What a machine loses by a reboot goes first: run-time files, packet filter, the VIP. */
async function boot(plan: HostPlan, kit: Kit, units: readonly UnitSpec[], socket: string): Promise<void> {
  const inside = ['ip', 'netns', 'exec', plan.namespace];
  rmSync(plan.runDir, { recursive: true, force: true });
  mkdirSync(plan.runDir, { recursive: true, mode: 0o755 });
  await must([...inside, 'nft', 'flush', 'ruleset']);
  await must(['ip', '-n', plan.namespace, 'address', 'flush', 'to', vipAddress, 'dev', 'eth0']);
  await kit.boot?.(plan);
  const spec: SupervisorSpec = { socket, units };
  const specFile = join(plan.runDir, 'supervisor.json');
  writeFileSync(specFile, JSON.stringify(spec), { mode: 0o600 });
  const log = openSync(join(plan.logDir, 'supervisor.log'), 'a');
  const argv = [...inside.slice(1), process.execPath, join(import.meta.dirname, 'supervisor/main.ts'), specFile];
  const child = spawn('ip', argv, { cwd: '/', detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  child.unref();
  prioritise(child.pid, supervisorNice);
  await listening(socket, 10_000);
}

async function listening(socket: string, timeoutMs: number): Promise<void> {
  const deadline = monoMs() + timeoutMs;
  for (;;) {
    const up = await order(socket, { op: 'status' }, 2000).catch(() => null);
    if (up !== null) return;
    if (monoMs() > deadline) throw new Error(`${socket}: the host's supervisor did not start; see supervisor.log`);
    await delay(20);
  }
}

function serviceHandle(name: string, socket: string, pidFile: string | undefined): ServiceHandle {
  const status = async (): Promise<ServiceStatus> => {
    if (pidFile !== undefined) return statusByPidFile(pidFile);
    const found = (await order(socket, { op: 'status' }))[name];
    if (found === undefined) throw new Error(`no unit "${name}"`);
    return found;
  };
  const pids = async (): Promise<number[]> => {
    const { pid } = await status();
    if (pid === null) return [];
    return name === 'keepalived' ? [pid, ...childrenOf(pid)] : [pid];
  };
  const send = async (what: NodeJS.Signals): Promise<number> => {
    const targets = await pids();
    if (targets.length === 0) throw new Error(`${name} does not run: no ${what}`);
    const at = monoMs();
    for (const pid of targets) signal(pid, what);
    return at;
  };
  return {
    start: async () => void (await order(socket, { op: 'start', unit: name })),
    stop: async () => void (await order(socket, { op: 'stop', unit: name })),
    status,
    pids,
    kill: () => send('SIGKILL'),
    freeze: () => send('SIGSTOP'),
    thaw: async () => void (await send('SIGCONT')),
    reload: () => send('SIGHUP'),
  };
}

function statusByPidFile(pidFile: string): ServiceStatus {
  const pid = Number(readText(pidFile));
  const alive = pid > 1 && readText(`/proc/${pid}/stat`) !== '';
  return { state: alive ? 'running' : 'stopped', pid: alive ? pid : null, starts: 0, exit: '' };
}

function childrenOf(pid: number): number[] {
  return readText(`/proc/${pid}/task/${pid}/children`)
    .split(' ')
    .map(Number)
    .filter((child) => child > 1);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
