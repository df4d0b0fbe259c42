// One supervised service: systemd's life cycle of a unit, in small.
//
//   stopped --start--> running --exits--> cleaning (kill the rest, ExecStopPost) --restart wanted--> waiting --RestartSec--> running
//                         \--stop--> running, not wanted --exits--> cleaning --> stopped
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { prioritise } from '../priority.ts';
import { expand, type Unit, type UnitCommand } from './unit.ts';

/** How a unit is run in this lab: which file its output goes to, more environment, and programs that stand elsewhere here. */
export type Placement = {
  readonly log: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Program of the unit -> argv that replaces it. */
  readonly programs: Readonly<Record<string, readonly string[]>>;
};

/** What the supervisor tells about a service. `pid` is null unless it runs; `exit` describes the last end. */
export type ServiceStatus = {
  readonly state: 'stopped' | 'running' | 'cleaning' | 'waiting' | 'done' | 'failed';
  readonly pid: number | null;
  readonly starts: number;
  readonly exit: string;
};

/** A service under supervision. */
export type Service = {
  /** Starts it; a oneshot is awaited and its failure is an error. */
  start(): Promise<void>;
  /** Stops it for good, stop hooks included. */
  stop(): Promise<void>;
  status(): ServiceStatus;
};

/** Takes a unit under supervision; nothing starts yet. */
export function superviseUnit(unit: Unit, place: Placement): Service {
  const environment = { ...process.env, ...unit.environment, ...place.environment };
  const recent: number[] = [];
  let child: ChildProcess | null = null;
  let state: ServiceStatus['state'] = 'stopped';
  let wanted = false;
  let starts = 0;
  let exit = '';
  let timer: NodeJS.Timeout | undefined;
  let settled = Promise.resolve();

  const argv = (command: UnitCommand): string[] => {
    const words = expand(command, environment);
    return [...(place.programs[words[0] ?? ''] ?? words.slice(0, 1)), ...words.slice(1)];
  };
  const launch = (command: UnitCommand, more: NodeJS.ProcessEnv = {}): ChildProcess => {
    const words = argv(command);
    const [file = '', ...args] = unit.nice === 0 ? words : ['nice', '-n', String(unit.nice), ...words];
    const log = openSync(place.log, 'a');
    try {
      // detached = setsid: a stopped process keeps its session when the harness ends, so no SIGHUP + SIGCONT reaches it
      const started = spawn(file, args, { cwd: '/', detached: true, stdio: ['ignore', log, log], env: { ...environment, ...more } });
      prioritise(started.pid, unit.nice);
      return started;
    } finally {
      closeSync(log);
    }
  };
  const runAll = async (commands: readonly UnitCommand[], more: NodeJS.ProcessEnv): Promise<void> => {
    for (const command of commands) {
      const how = await ended(launch(command, more));
      if (how !== 'exit 0' && !command.mayFail) exit += `; ${command.words.join(' ')}: ${how}`;
    }
  };
  const onExit = async (how: string, pid: number): Promise<void> => {
    state = 'cleaning';
    exit = how;
    if (unit.killMode === 'control-group' || unit.killMode === 'mixed') killGroup(pid, 'SIGKILL');
    child = null;
    await runAll(unit.stopPost, { SERVICE_RESULT: how === 'exit 0' ? 'success' : 'exit-code', EXIT_STATUS: how.split(' ')[1] ?? '' });
    const again = wanted && restarts(unit, how);
    state = again ? 'waiting' : 'stopped';
    if (again) timer = setTimeout(begin, unit.restartMs);
  };
  const tooOften = (): boolean => {
    const now = performance.now();
    recent.push(now);
    while ((recent[0] ?? now) < now - unit.startLimit.intervalMs) recent.shift();
    return unit.startLimit.intervalMs > 0 && recent.length > unit.startLimit.burst;
  };
  const begin = (): void => {
    if (tooOften()) {
      state = 'failed';
      exit += '; start limit reached';
      return;
    }
    starts += 1;
    const started = launch(unit.start);
    child = started;
    state = 'running';
    settled = ended(started).then((how) => onExit(how, started.pid ?? 0));
  };

  return {
    async start() {
      if (state !== 'stopped' && state !== 'failed') return;
      if (unit.oneshot) {
        const how = await ended(launch(unit.start));
        state = how === 'exit 0' ? 'done' : 'failed';
        exit = how;
        if (state === 'failed') throw new Error(`${argv(unit.start).join(' ')}: ${how}`);
        return;
      }
      wanted = true;
      recent.length = 0;
      await runAll(unit.startPre, {});
      begin();
    },
    async stop() {
      wanted = false;
      clearTimeout(timer);
      if (state === 'waiting') state = 'stopped';
      if (child?.pid !== undefined && state === 'running') {
        const pid = child.pid;
        await runAll(unit.stop, { MAINPID: String(pid) });
        const kill = unit.killMode === 'control-group' ? killGroup : killOne;
        kill(pid, 'SIGTERM');
        kill(pid, 'SIGCONT');
        const late = setTimeout(() => kill(pid, 'SIGKILL'), unit.stopTimeoutMs);
        await settled;
        clearTimeout(late);
      }
      await settled;
      if (state === 'done') state = 'stopped';
    },
    status: () => ({ state, pid: state === 'running' ? (child?.pid ?? null) : null, starts, exit }),
  };
}

function restarts(unit: Unit, how: string): boolean {
  if (unit.finalCodes.some((code) => how === `exit ${code}`)) return false;
  return unit.restart === 'always' || (unit.restart === 'on-failure' && how !== 'exit 0');
}

function ended(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`cannot start: ${error.message}`));
    child.once('exit', (code, signal) => resolve(signal === null ? `exit ${code}` : `signal ${signal}`));
  });
}

function killOne(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself.
  }
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  if (pid > 1) killOne(-pid, signal);
}
