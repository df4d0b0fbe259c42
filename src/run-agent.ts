// The composition root of the agent: reads like a parts list. Opens everything, connects it to the loop, and ends it in order.
import { randomInt } from 'node:crypto';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import about from '../package.json' with { type: 'json' };
import { readClocks, readMono } from './agent/clock.ts';
import { createHandlers } from './agent/handlers.ts';
import { createLoop, type Loop } from './agent/loop.ts';
import type { PeerAnswers, Sink, VipPort } from './agent/ports.ts';
import type { KeepalivedFacts } from './agent/status-vip.ts';
import { createNoVip } from './agent/vip-none.ts';
import { votesHere } from './config/derive.ts';
import { loadConfig } from './config/load.ts';
import { ConfigError, problemLine } from './config/problem.ts';
import type { Config } from './config/schema.ts';
import { tableOf } from './core/membership/machine.ts';
import type { Inventory } from './core/replication/types.ts';
import { createCore } from './core/step.ts';
import { lifetimeTtlLeastMs } from './core/vip/enforcer.ts';
import { createPeers } from './drivers/grpc/peers.ts';
import { connectScripts } from './drivers/redis/client.ts';
import { startRedisServer } from './drivers/redis-server/server.ts';
import { openState } from './drivers/state/files.ts';
import { takeHandOn } from './drivers/state/handon.ts';
import { type AgentLog, openLog } from './log.ts';
import { coreConfigOf, redisAccessOf } from './wire-config.ts';
import { openBalancer } from './wire-nginx.ts';
import { prepareObservation } from './wire-observe.ts';
import { openOllama } from './wire-ollama.ts';
import { openRecords, refuseTwins, watchDrain } from './wire-orders.ts';
import { openPki } from './wire-pki.ts';
import { endForRestart, handOnKeyOf } from './wire-restart.ts';
import { openReplication, type Replication } from './wire-store.ts';
import { openVip } from './wire-vip.ts';

/** Exit codes of the agent: 78 tells the service manager that a restart will not help. */
const EXIT = { ok: 0, failed: 1, usage: 64, config: 78 } as const;

/** An operator's error while starting: what, and what to do. */
class StartError extends Error {
  readonly hint: string;
  readonly exitCode: number;

  constructor(message: string, hint: string, exitCode: number = EXIT.failed) {
    super(message);
    this.hint = hint;
    this.exitCode = exitCode;
  }
}

// A stopping holder gives the role away and tells everybody; what has not happened by then will not.
const STOP_MS_MAX = 4000;
const RESTART_CLOSE_MS_MAX = 150;

/** Runs until a signal or a fatal condition ends it; returns the exit code. Every start error is one message with a hint. */
export async function runAgent(argv: readonly string[], process: NodeJS.Process): Promise<number> {
  try {
    return await run(argv, process);
  } catch (error) {
    const known = describe(error);
    if (known === null) throw error;
    for (const line of known.lines) process.stderr.write(`ollama-ha agent: ${line}\n`);
    return known.exitCode;
  }
}

function describe(error: unknown): { lines: readonly string[]; exitCode: number } | null {
  if (error instanceof ConfigError)
    return {
      lines: error.problems.flatMap((p) => [problemLine(p), ...(p.hint === '' ? [] : [`  Try: ${p.hint}`])]),
      exitCode: EXIT.config,
    };
  if (!(error instanceof Error)) return null;
  if ('hint' in error && typeof error.hint === 'string') {
    const exitCode = error instanceof StartError ? error.exitCode : EXIT.failed;
    return { lines: [`${error.message}. Try: ${error.hint}`], exitCode };
  }
  if ('code' in error && 'path' in error && typeof error.path === 'string') {
    return {
      lines: [`${error.path}: ${String(error.code)}. Try: run as a user that may use it, or change it in the configuration`],
      exitCode: EXIT.failed,
    };
  }
  return null;
}

function readConfig(argv: readonly string[], env: NodeJS.ProcessEnv): { config: Config; pretty: boolean } {
  let path: string;
  let pretty: boolean;
  try {
    const config = { type: 'string', default: '/etc/ollama-ha/agent.yaml' } as const;
    const { values } = parseArgs({ args: [...argv], options: { config, pretty: { type: 'boolean', default: false } } });
    path = values.config;
    pretty = values.pretty;
  } catch (error) {
    throw new StartError((error as Error).message, 'ollama-ha agent --config FILE [--pretty]', EXIT.usage);
  }
  const loaded = loadConfig(path, env);
  if ('problems' in loaded) throw new ConfigError(loaded.problems);
  return { config: loaded.config, pretty };
}

async function run(argv: readonly string[], process: NodeJS.Process): Promise<number> {
  const { config, pretty } = readConfig(argv, process.env);
  const { log, setLevel } = openLog({ level: config.log.level, node: config.node.id, pretty });
  const observation = prepareObservation(config, log);
  const redis = redisAccessOf(config);
  const key = handOnKeyOf(config);
  const handOn = takeHandOn(config.paths.run, key, (text) => log('warn', 'state', text, {}));
  const state = openState({
    stateDir: config.paths.state,
    runDir: config.paths.run,
    node: config.node.id,
    wallMs: Date.now(),
    claim: redis.claim,
    handedOn: handOn,
    log: (text) => log('warn', 'state', text, {}),
  });
  const core = coreConfigOf(config, {
    boot: state.boot,
    epochOnDisk: state.epochOnDisk,
    seed: randomInt(1, 2 ** 31),
    version: about.version,
    saved: state.saved,
    handOn,
  });
  const loop = createLoop(createCore(core, readClocks()), core.stallMs);
  const closing: (() => Promise<void>)[] = [];
  let restarting = false;
  // Before anything that would stay behind is started: a signal that comes now ends the agent in order as soon as it runs.
  const ended = untilEnded(process, log, () => readConfig(argv, process.env).config);
  try {
    const managed = votesHere(config) ? await startRedisServer({ ...redis.server, log }) : null;
    if (managed !== null) closing.push(async () => (restarting ? managed.detach() : managed.stop()));
    const scripts = connectScripts({
      servers: redis.servers,
      cluster: config.cluster.name,
      commandTimeoutMs: config.redis.commandTimeoutMs,
      sink: loop.sink,
      log,
      mono: readMono,
    });
    closing.push(() => scripts.close());
    const records = openRecords(scripts, config.cluster.name, state, loop, log);
    const pki = openPki(config, log);
    const balancer = openBalancer(config, log);
    closing.push(async () => balancer?.close());
    const vip = openAddress(config, loop.sink, log);
    closing.push(() => vip.port.close());
    const replication = await openReplication(config, log);
    closing.push(async () => replication?.close());
    const control = {
      ...createHandlers({
        loop,
        config: { preset: config.lease.preset, vip: config.vip?.addresses.join(', ') ?? '' },
        scripts,
        vipProblem: vip.problem,
        pkiProblem: pki.problem,
        nginxProblem: balancer === null ? undefined : () => balancer.view().problem,
        keepalived: vip.keepalived,
        history: state.history,
        version: about.version,
        replication: replication?.handlers ?? null,
      }),
      alerts: observation.alerts,
      logLevel: async (order: Parameters<typeof setLevel>[0]) => setLevel(order),
    };
    const peers = await createPeers({
      self: core.self,
      cluster: config.cluster.name,
      tls: config.pki,
      listen: { host: config.node.address, port: config.ports.peer },
      answers: answersOf(loop, replication, (target, signal) => ('error' in peers ? Promise.resolve(false) : peers.probe(target, signal))),
      control,
      socketPath: join(config.paths.run, 'agent.sock'),
      serving: () => !loop.view().state.stopping,
      reflection: config.grpc.reflection,
      sink: loop.sink,
      log,
    });
    if ('error' in peers) throw new StartError(peers.error.message, peers.error.hint);
    closing.push(() => peers.close());
    pki.watch({ peers, scripts, replication, managed });
    closing.push(async () => pki.close());
    const replicator = replication?.start(peers.fetchManifest, loop) ?? null;
    closing.push(async () => replicator?.close());
    const ollama = openOllama(config, observation.sink(loop.sink));
    closing.push(async () => ollama?.probes.close());
    closing.push(async () => ollama?.care.close());
    const drain = watchDrain(loop.sink, config);
    closing.push(async () => drain.close());
    loop.start({
      scripts,
      peers,
      vip: vip.port,
      replicator,
      care: ollama?.care ?? null,
      balancer,
      drain,
      state: observation.state(state.port),
      records,
      clock: readClocks,
      log: (e) => log(e.level, e.event, e.text, e.fields),
      end: ended.end,
    });
    closing.push(() => observation.close());
    await observation.start({ loop, nginx: balancer, control, history: state.history, traffic: peers.traffic });
    // kill -USR2 asks what gossip has cost so far.
    const tellTraffic = () => log('info', 'traffic', 'sent to other nodes since the start', peers.traffic());
    process.on('SIGUSR2', tellTraffic);
    closing.push(async () => void process.off('SIGUSR2', tellTraffic));
    const timers = [sampleLoad(loop), refuseTwins(scripts, ended.end)];
    // From the start of the process to the first turn.
    const startMs = performance.now();
    log('info', 'started', `agent of ${config.node.id} in cluster ${config.cluster.name}`, {
      boot: core.self.boot,
      preset: config.lease.preset,
      startMs: Math.round(startMs),
      ...(handOn === null ? {} : { handedOnEpoch: handOn.epoch }),
    });
    const why = await ended.promise;
    for (const timer of timers) clearInterval(timer);
    const giveAway = () => leave(loop, state.clearClaim);
    restarting = why.next !== null;
    if (why.next !== null) {
      // Contenders go by the timing that the record announced, and trust is kept by server: with others the next process starts from nothing.
      const same = handOnKeyOf(why.next) === key;
      await endForRestart({ loop, vip: vip.port, config, key, same, startMs, clock: readClocks, giveAway, log });
    }
    if (why.next === null && why.exitCode === EXIT.ok) await giveAway();
    loop.end();
    if (why.text !== '') throw new StartError(why.text, why.hint, why.exitCode);
    log('info', 'stopped', 'agent stopped', {});
    return EXIT.ok;
  } finally {
    loop.end();
    const closed = closeAll(closing, log);
    // The lease runs: the next process must not wait for a transfer that ends slowly.
    if (restarting) void setTimeout(() => process.exit(EXIT.ok), RESTART_CLOSE_MS_MAX);
    await closed;
    if (restarting) process.exit(EXIT.ok);
  }
}

/** Last opened, first closed; one that fails must not keep the others open. */
async function closeAll(closing: readonly (() => Promise<void>)[], log: AgentLog): Promise<void> {
  for (const close of closing.toReversed()) await close().catch((error: unknown) => log('warn', 'close', String(error), {}));
}

/** What other nodes may ask of this one. */
function answersOf(loop: Loop, replication: Replication | null, probe: PeerAnswers['probe']): PeerAnswers {
  const none: Inventory = { version: 0, models: [], refused: null };
  return {
    members: () => tableOf(loop.view().state.membership, readClocks()),
    inventory: () => {
      const { state } = loop.view();
      return { inventory: replication?.inventory() ?? none, epoch: state.holder.epoch, boot: state.config.self.boot };
    },
    manifest: async (path, digest) => replication?.manifest(path, digest) ?? null,
    probe,
  };
}

function openAddress(
  config: Config,
  sink: Sink,
  log: AgentLog,
): { port: VipPort; problem: () => string; keepalived: () => KeepalivedFacts | null } {
  const { vip } = config;
  if (vip === null || vip.driver === 'none') return { port: createNoVip(sink), problem: () => '', keepalived: () => null };
  const { driver, addresses, fence, deadlineScript } = vip;
  const port = openVip({
    vip: { driver, addresses, interface: vip.interface, fence, lifetimes: config.lease.ttlMs >= lifetimeTtlLeastMs },
    runDir: config.paths.run,
    script: deadlineScript,
    sink,
    now: readMono,
    log: (level, event, text) => log(level, event, text, {}),
  });
  const keepalived = () => {
    const view = port.view();
    return view.keepalived === null ? null : { vrrp: view.keepalived, differs: view.differs };
  };
  return { port, problem: () => port.view().problem, keepalived };
}

type Ended = { readonly exitCode: number; readonly text: string; readonly hint: string; readonly next: Config | null };

function untilEnded(
  process: NodeJS.Process,
  log: AgentLog,
  nextConfig: () => Config,
): { promise: Promise<Ended>; end: (text: string, hint: string) => void } {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const stop = (signal: string, next: Config | null) => {
    log('info', 'stopping', `stopping on ${signal}`, {});
    resolve({ exitCode: EXIT.ok, text: '', hint: '', next });
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop(signal, null));
  // The service manager starts the next process at once, with what stands in the configuration then: one that would be refused ends nothing.
  process.on('SIGHUP', () => {
    try {
      stop('SIGHUP', nextConfig());
    } catch (error) {
      const lines = describe(error)?.lines ?? [String(error)];
      log('error', 'reload_refused', `not restarted, the configuration would be refused: ${lines.join('; ')}`, {});
    }
  });
  return { promise, end: (text, hint) => resolve({ exitCode: EXIT.config, text, hint, next: null }) };
}

/** Gives the role away if it is here, and leaves the cluster; bounded in time. */
async function leave(loop: Loop, clearClaim: () => void): Promise<void> {
  await loop.command({ k: 'stop' });
  const until = readMono() + STOP_MS_MAX;
  while (readMono() < until) {
    const tag = loop.view().state.lease.phase.tag;
    if (tag === 'follower') {
      clearClaim();
      // One heartbeat round, so that the peers hear that this node left on purpose.
      await new Promise((resolve) => setTimeout(resolve, 100));
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Load in whole multiples of the cores: finer numbers would give every node another order of heirs. */
function coarseLoad(): number {
  return Math.round((loadavg()[0] ?? 0) / availableParallelism());
}

const LOAD_EVERY_MS = 1000;

// The lag is taken from the loop's own timer: monitorEventLoopDelay would wake the process more often than all the rest of an idle agent.
function sampleLoad(loop: Loop): NodeJS.Timeout {
  return setInterval(() => loop.sink({ k: 'load', loopLagMs: Math.round(loop.takeLagMs()), load: coarseLoad() }), LOAD_EVERY_MS);
}
