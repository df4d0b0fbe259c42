// What one cluster of real agents costs while nothing happens, and how fast it notices a death.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type Sent, simulateScale } from '../../sim/scale.ts';
import { type LogLine, linesOf, type ScaleAgent, type ScaleCluster, startAgents, until } from './agents.ts';

/** Plan of one size. */
export type ScalePlan = { readonly nodes: number; readonly windowMs: number; readonly deaths: number };

/** What agents of one kind cost, each. */
export type Cost = {
  /** Of one core; null = not measured, by the simulator. */
  readonly cpuPercent: number | null;
  readonly rssMiB: number | null;
  /** Memory with what processes share counted once; null = not readable. */
  readonly pssMiB: number | null;
  readonly messagesPerNodePerSecond: number;
  readonly bytesPerNodePerSecond: number;
};

/** One size in the report. */
export type SizeResult = Cost & {
  readonly nodes: number;
  readonly source: 'agents' | 'simulator';
  /** Time until a survivor called a killed process dead, ms: median over survivors and deaths. In the simulator hosts fall silent only. */
  readonly detectMs: number;
  readonly detectMsMax: number;
  /** The same for a process that stands still, whose host acknowledges everything: like a host that is gone, but for its kernel. */
  readonly silentDetectMs: number;
  readonly silentDetectMsMax: number;
  /** All servers together. */
  readonly redisCommandsPerSecond: number;
  /** Holder and heirs, who hear everybody. */
  readonly hubs: Cost | null;
};

const CANDIDATES = 3;
// Start-up work, such as the last compilations, is over after this.
const SETTLE_MS = 12_000;
const TICKS_PER_SECOND = 100;

type Reading = { readonly at: number; readonly cpuMs: number; readonly messages: number; readonly bytes: number };

/** Fills Node's compile cache: a start without it costs 30 MiB that a packaged agent, which holds no TypeScript, never has. */
export async function warmUp(): Promise<void> {
  const cluster = await startAgents({ count: 1, candidates: 1 });
  await cluster.end();
}

/** Starts a cluster, measures it and ends it. */
export async function measureSize(plan: ScalePlan): Promise<SizeResult> {
  const cluster = await startAgents({ count: plan.nodes, candidates: Math.min(CANDIDATES, plan.nodes - 1) });
  const counter = commandCounter(cluster);
  try {
    await allKnown(cluster.agents);
    await pause(SETTLE_MS);
    const before = await readings(cluster.agents);
    const commandsBefore = await counter.read();
    await pause(plan.windowMs);
    const after = await readings(cluster.agents);
    const commandsAfter = await counter.read();
    const seconds = (commandsAfter.at - commandsBefore.at) / 1000;
    const costs = cluster.agents.map((agent, i) => ({ agent, cost: costOf(agent, before[i], after[i]) }));
    const ordinary = costs.filter(({ agent }) => !agent.candidate).map(({ cost }) => cost);
    const hubs = costs.filter(({ agent }) => agent.candidate).map(({ cost }) => cost);
    const killed = await detections(cluster, plan.deaths, 'SIGKILL');
    const stopped = await detections(cluster, plan.deaths, 'SIGSTOP');
    return {
      nodes: plan.nodes,
      source: 'agents',
      ...meanOf(ordinary),
      detectMs: median(killed),
      detectMsMax: Math.max(...killed),
      silentDetectMs: median(stopped),
      silentDetectMsMax: Math.max(...stopped),
      redisCommandsPerSecond: round((commandsAfter.calls - commandsBefore.calls) / seconds),
      hubs: meanOf(hubs),
    };
  } finally {
    counter.close();
    await cluster.end();
  }
}

async function allKnown(agents: readonly ScaleAgent[]): Promise<void> {
  const others = agents.length - 1;
  const knows = (agent: ScaleAgent) => new Set(linesOf(agent).flatMap((l) => (l.event === 'member_alive' ? [l.node] : []))).size;
  await until(60_000, 'not every agent knows every other one', () => agents.every((agent) => knows(agent) >= others));
}

/** Asks every agent for its traffic (SIGUSR2 makes it log), and reads its processor time. */
async function readings(agents: readonly ScaleAgent[]): Promise<readonly Reading[]> {
  const known = agents.map((agent) => trafficLines(agent).length);
  const taken = agents.map((agent) => {
    agent.process.kill('SIGUSR2');
    return { at: performance.now(), cpuMs: cpuMsOf(agent.process.pid ?? 0) };
  });
  await until(10_000, 'an agent does not tell its traffic', () => agents.every((a, i) => trafficLines(a).length > (known[i] ?? 0)));
  return agents.map((agent, i) => {
    const line = trafficLines(agent).at(-1);
    const { at, cpuMs } = taken[i] ?? { at: 0, cpuMs: 0 };
    return { at, cpuMs, messages: Number(line?.messages), bytes: Number(line?.bytes) };
  });
}

function trafficLines(agent: ScaleAgent): readonly LogLine[] {
  return linesOf(agent).filter((line) => line.event === 'traffic');
}

function cpuMsOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

function costOf(agent: ScaleAgent, before: Reading | undefined, after: Reading | undefined): Cost {
  if (before === undefined || after === undefined) throw new Error(`${agent.id} was not read`);
  const ms = after.at - before.at;
  const pid = agent.process.pid ?? 0;
  return {
    cpuPercent: (100 * (after.cpuMs - before.cpuMs)) / ms,
    rssMiB: kibOf(`/proc/${pid}/status`, 'VmRSS') / 1024,
    pssMiB: kibOf(`/proc/${pid}/smaps_rollup`, 'Pss') / 1024 || null,
    messagesPerNodePerSecond: (1000 * (after.messages - before.messages)) / ms,
    bytesPerNodePerSecond: (1000 * (after.bytes - before.bytes)) / ms,
  };
}

function kibOf(file: string, name: string): number {
  try {
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Ends or stops the last node again and again; how long each survivor took to call it dead, ms. */
async function detections(cluster: ScaleCluster, times: number, signal: 'SIGKILL' | 'SIGSTOP'): Promise<readonly number[]> {
  const tookMs: number[] = [];
  for (let i = 0; i < times; i++) {
    const living = cluster.agents.filter((agent) => agent.process.exitCode === null && agent.process.signalCode === null);
    const victim = living.at(-1);
    if (victim === undefined) throw new Error('nobody is left');
    const survivors = living.filter((agent) => agent !== victim);
    const at = Date.now();
    const dead = (agent: ScaleAgent) =>
      linesOf(agent).find((line) => line.event === 'member_dead' && line.node === victim.id && Date.parse(line.time) >= at);
    victim.process.kill(signal);
    await until(30_000, `not everybody saw ${victim.id} die`, () => survivors.every((agent) => dead(agent) !== undefined));
    for (const agent of survivors) tookMs.push(Date.parse(dead(agent)?.time ?? '') - at);
    victim.process.kill('SIGKILL');
    const since = Date.now();
    const back = (agent: ScaleAgent) =>
      linesOf(agent).some((line) => line.event === 'member_alive' && line.node === victim.id && Date.parse(line.time) >= since);
    await cluster.start({ id: victim.id, address: victim.address }, victim.candidate);
    await until(30_000, `${victim.id} did not come back`, () => survivors.every(back));
    await pause(2000);
  }
  return tookMs;
}

/** Commands that agents sent to the managed servers: lease scripts; what a script calls inside is not counted. */
function commandCounter(cluster: ScaleCluster): { read(): Promise<{ readonly at: number; readonly calls: number }>; close(): void } {
  const servers = cluster.servers.map(({ agent, port, password }) => {
    const [ca, cert, key] = ['ca', 'cert', 'key'].map((name) => readFileSync(join(agent.dir, name), 'utf8'));
    const tls = { ca, cert, key, checkServerIdentity: () => undefined };
    return new Redis({ host: agent.address, port, username: 'ha', password, tls, disableClientInfo: true, lazyConnect: true });
  });
  return {
    async read() {
      const texts = await Promise.all(servers.map((redis) => redis.info('commandstats')));
      const calls = texts.map((text) =>
        [...text.matchAll(/^cmdstat_(?:evalsha|eval):calls=(\d+)/gm)].reduce((sum, m) => sum + Number(m[1]), 0),
      );
      return { at: performance.now(), calls: calls.reduce((sum, n) => sum + n, 0) };
    },
    close() {
      for (const redis of servers) redis.disconnect();
    },
  };
}

function meanOf(costs: readonly Cost[]): Cost {
  const mean = (pick: (cost: Cost) => number | null) => {
    const values = costs.map(pick);
    return values.includes(null) ? null : round(values.reduce<number>((sum, value) => sum + (value ?? 0), 0) / values.length);
  };
  return {
    cpuPercent: mean((c) => c.cpuPercent),
    rssMiB: mean((c) => c.rssMiB),
    pssMiB: mean((c) => c.pssMiB),
    messagesPerNodePerSecond: mean((c) => c.messagesPerNodePerSecond) ?? 0,
    bytesPerNodePerSecond: mean((c) => c.bytesPerNodePerSecond) ?? 0,
  };
}

/** A size that no one machine can run, in virtual time. */
export async function simulateSize(nodes: number): Promise<SizeResult> {
  const seen = await simulateScale({ nodes });
  const unmeasured = { cpuPercent: null, rssMiB: null, pssMiB: null };
  const sent = ({ messagesPerNodePerSecond, bytesPerNodePerSecond }: Sent): Cost => ({
    ...unmeasured,
    messagesPerNodePerSecond: round(messagesPerNodePerSecond),
    bytesPerNodePerSecond: round(bytesPerNodePerSecond),
  });
  return {
    nodes,
    source: 'simulator',
    ...sent(seen),
    detectMs: round(seen.detectMs),
    detectMsMax: round(seen.detectAllMs),
    silentDetectMs: round(seen.detectMs),
    silentDetectMsMax: round(seen.detectAllMs),
    redisCommandsPerSecond: round(seen.redisCommandsPerSecond),
    hubs: sent(seen.hubs),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
