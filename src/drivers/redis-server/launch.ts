// One start of the managed redis-server: preconditions, files, the process, and the wait until it answers.
import { type ChildProcess, spawn } from 'node:child_process';
import { access, constants, mkdir, open, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConfOptions, renderAcl, renderConf, type ServerFiles, serverFiles } from './conf.ts';
import { RedisServerError } from './error.ts';
import { probe } from './probe.ts';
import { logTail, ourProcess, type ProcessIdentity } from './process.ts';

/** A process that answers. `child` only if this agent started it. */
export type Running = { readonly process: ProcessIdentity; readonly child: ChildProcess | null };

const readyWithinMs = 5000;
const logBytesMax = 1024 * 1024;

/** Path of redis-server, searched in `searchPath` (the form of PATH). */
export async function findExecutable(searchPath: string): Promise<string> {
  for (const dir of searchPath.split(delimiter)) {
    if (dir === '') continue; // would be the working directory
    const candidate = join(dir, 'redis-server');
    try {
      await access(candidate, constants.X_OK);
      return candidate;
    } catch {
      // the next one
    }
  }
  throw new RedisServerError(
    'REDIS_SERVER_MISSING',
    'redis-server is not installed',
    'apt-get install redis-server, or set redis.managed: false and list redis.servers',
  );
}

/** Writes redis.conf and users.acl (0600) whole or not at all. */
export async function writeFiles(o: ConfOptions, files: ServerFiles): Promise<void> {
  await mkdir(o.dir, { recursive: true, mode: 0o700 });
  await mkdir(o.runDir, { recursive: true, mode: 0o755 });
  for (const [file, text] of [
    [files.conf, renderConf(o)],
    [files.acl, renderAcl(o.cluster, o.password)],
  ] as const) {
    await writeFile(`${file}.new`, text, { mode: 0o600 });
    await rename(`${file}.new`, file);
  }
}

/** Throws unless every address is on this host and the port free on it. */
export async function assertPortFree(o: ConfOptions): Promise<void> {
  for (const address of o.bind) {
    const problem = await bindProblem(address === '*' ? '0.0.0.0' : address, o.port);
    if (problem === 'EADDRINUSE') {
      throw new RedisServerError(
        'REDIS_PORT_IN_USE',
        `port ${o.port} on ${address} is in use by another program`,
        `stop it (ss -ltnp 'sport = :${o.port}' shows it) or set another redis.port on every node`,
      );
    }
    if (problem === 'EADDRNOTAVAIL') {
      throw new RedisServerError(
        'REDIS_ADDRESS_ABSENT',
        `address ${address} is not on this host`,
        'check node.address, or wait until the network is up',
      );
    }
  }
}

/** Starts the process in a session of its own, so that it outlives the agent, and waits until it answers. */
export async function launch(o: ConfOptions, executable: string, signal: AbortSignal): Promise<Running> {
  const files = serverFiles(o.dir, o.runDir);
  await shortenLog(files.log);
  const log = await open(files.log, 'a', 0o600);
  const from = (await log.stat()).size;
  const child = spawn(executable, [files.conf], {
    argv0: 'redis-server',
    cwd: o.dir,
    detached: true,
    env: {},
    stdio: ['ignore', log.fd, log.fd],
  });
  try {
    await started(child);
    child.unref();
    return { process: await ready(o, child, executable, signal), child };
  } catch (cause) {
    child.kill('SIGKILL');
    if (signal.aborted) throw cause;
    const last = await logTail(files.log, from);
    throw new RedisServerError(
      'REDIS_SERVER_START',
      `redis-server does not start: ${last || 'it wrote nothing to its log'}`,
      `see ${files.log}`,
      cause,
    );
  } finally {
    await log.close();
  }
}

function started(child: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.once('spawn', resolve);
  child.once('error', reject); // ENOENT, EACCES, EAGAIN
  return promise;
}

async function ready(o: ConfOptions, child: ChildProcess, executable: string, signal: AbortSignal): Promise<ProcessIdentity> {
  const files = serverFiles(o.dir, o.runDir);
  const resolved = await realpath(executable);
  const deadline = performance.now() + readyWithinMs;
  while (performance.now() < deadline) {
    signal.throwIfAborted();
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`redis-server ended with ${child.exitCode ?? child.signalCode}`);
    const answer = await probe(o);
    if (answer?.pid === child.pid && child.pid !== undefined) {
      const found = await ourProcess(child.pid, resolved, files.conf);
      if (found !== null) return found;
    }
    await sleep(20);
  }
  throw new Error(`redis-server does not answer within ${readyWithinMs} ms`);
}

function bindProblem(host: string, port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const server = createServer();
  server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
  server.listen({ host, port, exclusive: true }, () => server.close(() => resolve('')));
  return promise;
}

async function shortenLog(file: string): Promise<void> {
  const size = await stat(file).then(
    (found) => found.size,
    () => 0,
  );
  if (size > logBytesMax) await rename(file, `${file}.1`);
}
