// The managed Redis: a redis-server of our own that gives this node its vote.
//
// It outlives the agent on purpose: an agent's crash or upgrade must not cost the cluster a vote and everybody a new wait.
// So the next agent adopts the running process if it is ours, was started from the same configuration, and answers; else
// it ends it and starts another. It keeps nothing on disk, therefore ending it loses nothing the lease relies on.
import { readFile, realpath, rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { type ConfOptions, renderAcl, renderConf, type ServerFiles, serverFiles } from './conf.ts';
import { RedisServerError } from './error.ts';
import { assertPortFree, findExecutable, launch, type Running, writeFiles } from './launch.ts';
import { probe, renewCertificates } from './probe.ts';
import { endProcess, isAlive, ourProcess, type ProcessIdentity, readPid } from './process.ts';

/** Takes a line for the log: a stable event id, a sentence, facts. */
export type ServerLog = (
  level: 'info' | 'warn' | 'error',
  event: string,
  text: string,
  fields: Readonly<Record<string, string | number | boolean>>,
) => void;

/** What a managed server is made of. */
export type ManagedRedisOptions = ConfOptions & {
  readonly log: ServerLog;
  /** Where to look for redis-server, in the form of PATH. */
  readonly searchPath?: string;
  readonly signal?: AbortSignal;
};

/** The managed server, watched: when the process dies another one is started. */
export type ManagedRedis = {
  /** It was running before this agent came. */
  readonly adopted: boolean;
  view(): { readonly pid: number | null; readonly restarts: number; readonly lastError: string };
  /** Makes the process read its certificates anew; rejects when it cannot be told, or they cannot be used. */
  renewCertificates(): Promise<void>;
  /** Stops watching; the process goes on for the next agent. */
  detach(): void;
  /** Ends the process: only for a clean stop of the node. */
  stop(): Promise<void>;
};

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const adoptedPollMs = 250;
const backoffMinMs = 100;
const backoffMaxMs = 2000;
/** A process that ran this long was well: the next restart waits the minimum again. */
const wellAfterMs = 10_000;

/**
 * Adopts the running server of this directory or starts one, and resolves when it answers.
 * `dir` and `runDir` (for redis.pid) are made if absent. Throws RedisServerError.
 */
export async function startRedisServer(o: ManagedRedisOptions): Promise<ManagedRedis> {
  const files = serverFiles(o.dir, o.runDir);
  const executable = await findExecutable(o.searchPath ?? systemPath);
  const found = await findRunning(o, files, await realpath(executable));
  if (found !== null && (await isCurrent(o, files)) && (await answers(o, found))) {
    o.log('info', 'redisServer.adopted', 'managed Redis: adopted the running server', { pid: found.pid });
    return supervise(o, executable, { process: found, child: null });
  }
  if (found !== null) {
    o.log('warn', 'redisServer.replaced', 'managed Redis: the running server is outdated or does not answer, replacing it', {
      pid: found.pid,
    });
    await endProcess(found);
    await untilPortFree(o);
  }
  const running = await startNew(o, files, executable, o.signal ?? neverAborted);
  o.log('info', 'redisServer.started', 'managed Redis: started', { pid: running.process.pid, port: o.port });
  return supervise(o, executable, running);
}

const RELEASE_MS_MAX = 2000;

/** A killed process is a zombie before its last thread has let go of the port: that is not another program. */
async function untilPortFree(o: ManagedRedisOptions): Promise<void> {
  for (let waitedMs = 0; waitedMs < RELEASE_MS_MAX; waitedMs += 20) {
    try {
      return await assertPortFree(o);
    } catch {
      await pause(20);
    }
  }
}

const neverAborted = new AbortController().signal;

async function startNew(o: ManagedRedisOptions, files: ServerFiles, executable: string, signal: AbortSignal): Promise<Running> {
  await assertPortFree(o);
  await writeFiles(o, files);
  return launch(o, executable, signal);
}

/** By its pid file, or, when that is gone, by asking the port. */
async function findRunning(o: ManagedRedisOptions, files: ServerFiles, executable: string): Promise<ProcessIdentity | null> {
  const byFile = await readPid(files.pid);
  const known = byFile === null ? null : await ourProcess(byFile, executable, files.conf);
  if (known !== null) return known;
  const answer = await probe(o);
  return answer?.conf === files.conf ? ourProcess(answer.pid, executable, files.conf) : null;
}

async function isCurrent(o: ManagedRedisOptions, files: ServerFiles): Promise<boolean> {
  const same = async (file: string, text: string) => (await readFile(file, 'utf8').catch(() => '')) === text;
  return (await same(files.conf, renderConf(o))) && (await same(files.acl, renderAcl(o.cluster, o.password)));
}

/** One that is only slow or stalled for a moment gets three chances. */
async function answers(o: ManagedRedisOptions, found: ProcessIdentity): Promise<boolean> {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if ((await probe(o))?.pid === found.pid) return true;
  }
  return false;
}

function supervise(o: ManagedRedisOptions, executable: string, first: Running): ManagedRedis {
  const files = serverFiles(o.dir, o.runDir);
  const ending = new AbortController();
  let current: Running | null = null;
  let since = 0;
  let restarts = 0;
  let lastError = '';
  let backoffMs = backoffMinMs;
  let timer: NodeJS.Timeout | null = null;
  let restarting: Promise<void> = Promise.resolve();

  function watch(running: Running): void {
    current = running;
    since = performance.now();
    if (running.child === null) pollAdopted(running);
    else if (running.child.exitCode !== null || running.child.signalCode !== null) onGone(running);
    else running.child.once('exit', () => onGone(running));
  }

  function pollAdopted(running: Running): void {
    timer = setTimeout(async () => {
      const alive = await isAlive(running.process);
      if (ending.signal.aborted) return;
      if (alive) pollAdopted(running);
      else onGone(running);
    }, adoptedPollMs).unref();
  }

  function onGone(running: Running): void {
    if (ending.signal.aborted) return;
    current = null;
    lastError = 'the server ended by itself';
    o.log('warn', 'redisServer.died', 'managed Redis: the server ended by itself, starting it again', { pid: running.process.pid });
    if (performance.now() - since > wellAfterMs) backoffMs = backoffMinMs;
    restartLater();
  }

  function restartLater(): void {
    timer = setTimeout(() => {
      restarting = restart();
    }, backoffMs);
    backoffMs = Math.min(2 * backoffMs, backoffMaxMs);
  }

  async function restart(): Promise<void> {
    try {
      const running = await startNew(o, files, executable, ending.signal);
      restarts += 1;
      lastError = '';
      if (ending.signal.aborted) current = running;
      else watch(running);
    } catch (error) {
      if (ending.signal.aborted) return;
      lastError = error instanceof RedisServerError ? `${error.message} (${error.hint})` : 'cannot start redis-server';
      o.log('error', 'redisServer.restartFailed', `managed Redis: ${lastError}`, {});
      restartLater();
    }
  }

  function endWatch(): void {
    ending.abort();
    if (timer !== null) clearTimeout(timer);
  }

  watch(first);
  return {
    adopted: first.child === null,
    view: () => ({ pid: current?.process.pid ?? null, restarts, lastError }),
    renewCertificates: () => renewCertificates(o),
    detach: endWatch,
    stop: async () => {
      endWatch();
      await restarting;
      if (current !== null) await endProcess(current.process);
      await rm(files.pid, { force: true });
      current = null;
    },
  };
}
