// Real agents as processes of this machine, each on a loopback address of its own (127.x.y.z). A few are candidates, whose Ollama is a stub in
// this process, so that there is a holder and heirs; the others are witnesses, that is agents without Ollama.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { redisPassword } from '../../../src/config/secret.ts';
import { createAuthority, type TestAuthority } from '../../contract/transfer/certs.ts';

const mainFile = join(import.meta.dirname, '../../../src/main.ts');
const CLUSTER = 'scale';
const VOTERS = 3;
const REDIS_PORT = 11442;
// A start costs half a second of a core: started all at once, 64 of them would stand still for each other.
const STARTS_AT_ONCE = 4;
const STOP_MS = 8000;

/** One agent. */
export type ScaleAgent = {
  readonly id: string;
  readonly address: string;
  readonly candidate: boolean;
  readonly dir: string;
  readonly process: ChildProcess;
  /** What it wrote so far. */
  text(): string;
};

/** A line of an agent's log. */
export type LogLine = { readonly time: string; readonly event: string; readonly msg: string } & Readonly<Record<string, unknown>>;

/** A cluster of processes. */
export type ScaleCluster = {
  readonly agents: readonly ScaleAgent[];
  /** The managed Redis servers, and how to reach them. */
  readonly servers: readonly { readonly agent: ScaleAgent; readonly port: number; readonly password: string }[];
  /** A certificate of the cluster's authority for these DNS names. */
  readonly issue: TestAuthority['issue'];
  /** Starts one more process: a node of the list, or one with its name at another address. Does not wait for it. */
  start(place: Place, candidate: boolean): Promise<ScaleAgent>;
  end(): Promise<void>;
};

/** A node's name and address. */
export type Place = { readonly id: string; readonly address: string };

/** What all agents of a cluster share. */
export type ScaleOptions = {
  readonly count: number;
  /** So many of them have an `ollama:` section. */
  readonly candidates: number;
  readonly config?: Readonly<Record<string, unknown>>;
  /** Directory of Node's compile cache. A packaged agent holds no TypeScript; a start from a full cache is nearest to it. */
  readonly compileCache?: string;
};

/** Starts the agents and waits until all run. Up to three of them carry a managed Redis. */
export async function startAgents(options: ScaleOptions): Promise<ScaleCluster> {
  const dir = mkdtempSync(join(tmpdir(), 'bench-scale-'));
  const ollama = await startOllamaStub();
  const authority = await createAuthority();
  const secret = join(dir, 'secret');
  writeFileSync(secret, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  const places = placesOf(options.count);
  const agents: ScaleAgent[] = [];

  async function start(place: Place, candidate: boolean): Promise<ScaleAgent> {
    const own = join(dir, `${place.id}-${place.address}`);
    for (const sub of ['state', 'run', 'store']) mkdirSync(join(own, sub), { recursive: true });
    const tls = await authority.issue([`${place.id}.${CLUSTER}.ollama-ha`]);
    for (const [name, pem] of Object.entries(tls)) writeFileSync(join(own, name), pem, { mode: 0o600 });
    const config = {
      node: place,
      cluster: { name: CLUSTER, nodes: places.map((p) => (p.id === place.id ? place : p)), secretFile: secret },
      pki: { ca: join(own, 'ca'), cert: join(own, 'cert'), key: join(own, 'key') },
      redis: { managed: true, port: REDIS_PORT, voters: places.slice(0, Math.min(VOTERS, places.length)) },
      ...(candidate ? { ollama: { url: ollama.url, store: join(own, 'store') } } : {}),
      paths: { state: join(own, 'state'), run: join(own, 'run') },
      http: { listen: `${place.address}:11443` },
      ...options.config,
    };
    writeFileSync(join(own, 'agent.yaml'), stringify(config));
    const agent = startAgent(own, place, candidate, options.compileCache);
    agents.push(agent);
    return agent;
  }

  // Whatever ends this process: no agent may stay behind.
  const endNow = () => {
    for (const agent of agents) {
      agent.process.kill('SIGKILL');
      endOrphan(agent);
    }
  };
  process.once('exit', endNow);

  async function end(): Promise<void> {
    await Promise.all(agents.map(stopAgent));
    process.off('exit', endNow);
    ollama.close();
    rmSync(dir, { recursive: true, force: true });
  }

  try {
    for (const [i, place] of places.entries()) {
      await start(place, i < options.candidates);
      if (agents.length % STARTS_AT_ONCE === 0) await started(agents);
    }
    await started(agents);
    const password = redisPassword(readFileSync(secret, 'utf8').trim(), CLUSTER);
    const servers = agents.slice(0, VOTERS).map((agent) => ({ agent, port: REDIS_PORT, password }));
    return { agents, servers, issue: authority.issue, start, end };
  } catch (error) {
    await end();
    throw error;
  }
}

function placesOf(count: number): readonly Place[] {
  // Other programs of this kind may run on this machine: the second part of the address is this process' own.
  const net = `127.${100 + (process.pid % 100)}`;
  return Array.from({ length: count }, (_, i) => ({ id: `n${String(i).padStart(3, '0')}`, address: `${net}.0.${i + 1}` }));
}

function startAgent(dir: string, place: Place, candidate: boolean, compileCache: string | undefined): ScaleAgent {
  const file = join(dir, 'log');
  const out = openSync(file, 'a');
  const env = compileCache === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: compileCache };
  const child = spawn(process.execPath, [mainFile, 'agent', '--config', join(dir, 'agent.yaml')], { env, stdio: ['ignore', out, out] });
  closeSync(out);
  return { ...place, candidate, dir, process: child, text: () => readFileSync(file, 'utf8') };
}

/** The parsed lines of an agent's log; what is no JSON is left out. */
export function linesOf(agent: ScaleAgent): readonly LogLine[] {
  return agent.text().split('\n').flatMap(parsedLine);
}

function parsedLine(text: string): readonly LogLine[] {
  try {
    return [JSON.parse(text) as LogLine];
  } catch {
    return [];
  }
}

async function started(agents: readonly ScaleAgent[]): Promise<void> {
  await until(60_000, 'an agent does not start', () => {
    const dead = agents.find((agent) => agent.process.exitCode !== null);
    if (dead !== undefined) throw new Error(`${dead.id} ended: ${dead.text().slice(-1000)}`);
    return agents.every((agent) => agent.text().includes('"event":"started"'));
  });
}

/** Waits until `what` is true; throws `failure` after `ms`. */
export async function until(ms: number, failure: string, what: () => boolean): Promise<void> {
  const end = performance.now() + ms;
  while (!what()) {
    if (performance.now() > end) throw new Error(`${failure} (${ms} ms)`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function stopAgent(agent: ScaleAgent): Promise<void> {
  const { process: child } = agent;
  if (child.exitCode !== null || child.signalCode !== null) return endOrphan(agent);
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await gone;
  clearTimeout(timer);
  endOrphan(agent);
}

/** A killed agent leaves its redis-server to the next one, which never comes here. */
function endOrphan(agent: ScaleAgent): void {
  try {
    process.kill(Number(readFileSync(join(agent.dir, 'run/redis.pid'), 'utf8')));
  } catch {
    // No managed Redis there, or gone with the agent.
  }
}

async function startOllamaStub(): Promise<{ readonly url: string; close(): void }> {
  const answers: Readonly<Record<string, unknown>> = {
    '/api/version': { version: '0.12.0' },
    '/api/tags': { models: [] },
    '/api/ps': { models: [] },
  };
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? ''];
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? {}));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
