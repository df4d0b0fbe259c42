// From the configuration to what the core and the Redis drivers take. Secrets are read here and go no further than the drivers that need them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import picomatch from 'picomatch';
import { fenceRequired, leaseConfigOf, redisServersOf } from './config/derive.ts';
import type { Config } from './config/schema.ts';
import { readSecret, redisPassword } from './config/secret.ts';
import type { CoreConfig, SavedState } from './core/config.ts';
import type { LevelConfig } from './core/health/config.ts';
import type { HandOn } from './core/lease/handon.ts';
import type { DeletionPolicy } from './core/replication/types.ts';
import { serverNameOf } from './drivers/grpc/tls.ts';
import type { RedisServerOptions } from './drivers/redis/options.ts';
import type { ManagedRedisOptions } from './drivers/redis-server/server.ts';
import type { ClaimFacts } from './drivers/state/files.ts';

// Wakes later than this are stalls of the process, not of its peers. (facts: gossip, stall guard)
const STALL_MS = 100;
// A start binds the port long before it serves: GPU discovery alone may take half a minute for each backend.
const OLLAMA_START_MS = 120_000;

/** Facts of this start that no file holds. */
export type Start = {
  readonly boot: number;
  readonly epochOnDisk: number;
  readonly seed: number;
  readonly version: string;
  readonly saved: SavedState;
  readonly handOn: HandOn | null;
};

/** The core's configuration. */
export function coreConfigOf(config: Config, start: Start): CoreConfig {
  const { node, cluster, ollama, vip, ports } = config;
  const required = ollama?.required ?? [];
  const places = new Map([...cluster.nodes, ...config.redis.voters].map((p) => [p.id, p.address]));
  return {
    self: { node: node.id, boot: start.boot },
    cluster: cluster.name,
    address: `${node.address}:${ports.peer}`,
    version: start.version,
    candidate: ollama !== null,
    priority: node.priority,
    nofailover: node.nofailover,
    roster: cluster.nodes.map((n) => n.id),
    peers: [...places].filter(([id]) => id !== node.id).map(([id, address]) => ({ node: id, address: `${address}:${ports.peer}` })),
    lease: leaseConfigOf(config),
    health:
      ollama === null
        ? null
        : {
            probeMs: ollama.probeMs,
            timeoutMs: ollama.timeoutMs,
            failures: ollama.failures,
            recoveries: config.health.recoveries,
            startMs: OLLAMA_START_MS,
            required,
            levels: levelsOf(config),
            remedies: config.health.remedies,
          },
    hotSet: config.hotSet,
    heartbeatMs: config.gossip.heartbeatMs,
    stallMs: STALL_MS,
    vip: vip === null || vip.driver === 'none' ? 'none' : fenceRequired(config) ? 'fence-required' : 'fence-preferred',
    deletion: deletionOf(config),
    replication: {
      include: globs(config.replication.include),
      exclude: globs(config.replication.exclude),
      required,
      // A blob without a manifest has no name that a selection could be asked about.
      ahead: config.replication.include.includes('*') && config.replication.exclude.length === 0,
    },
    seed: start.seed,
    epochOnDisk: start.epochOnDisk,
    saved: start.saved,
    handOn: start.handOn,
  };
}

/** The limits of every level of evidence. */
function levelsOf({ health }: Config): LevelConfig {
  const { progress, runner, gpu } = health;
  return {
    warnMs: health.warnMs,
    listMs: health.listBrokenMs,
    runner: { failures: runner.failures },
    progress: {
      everyMs: progress.canaryMs,
      deadlineMs: progress.deadlineMs,
      stallMs: progress.stallMs,
      firstTokenMs: progress.firstTokenMs,
      imageEvery: progress.imageEvery,
      slowFactor: progress.slowFactor,
    },
    disk: health.disk,
    memory: health.memory,
    gpu: { failures: gpu.failures, share: gpu.share },
    crash: health.crash,
    loadStuckMs: health.loadStuckMs,
    slowLoadMs: health.slowLoadMs,
    stuckUnloadMs: health.stuckUnloadMs,
    zombieMs: health.zombieMs,
    reloads: health.reloads,
  };
}

/** Whether and how fast this node follows deletions. */
export function deletionOf({ replication }: Config): DeletionPolicy {
  return { follow: replication.delete === 'follow', graceMs: replication.graceMs, maxPerPass: replication.deleteMaxPerPass };
}

function globs(patterns: readonly string[]): RegExp[] {
  return patterns.map((p) => picomatch.makeRe(p.includes(':') || p.includes('*') ? p : `${p}:latest`, { bash: true, dot: true }));
}

/** Everything about the Redis servers: how to reach them, the managed child's options, and what the stop hook must know. */
export function redisAccessOf(config: Config): {
  servers: RedisServerOptions[];
  server: Omit<ManagedRedisOptions, 'log'>;
  claim: ClaimFacts;
} {
  const listed = redisServersOf(config);
  const { cluster, pki, vip } = config;
  const managedPassword = config.redis.managed ? redisPassword(readSecret(cluster.secretFile), cluster.name) : '';
  const servers = listed.map((s, i): RedisServerOptions => {
    const voter = config.redis.voters[i];
    const tls =
      s.tls === null
        ? null
        : {
            ca: pem(s.tls.ca),
            cert: pem(s.tls.cert),
            key: pem(s.tls.key),
            serverName: config.redis.managed && voter !== undefined ? serverNameOf(voter.id, cluster.name) : '',
          };
    const password = s.passwordFile === null ? managedPassword : readSecret(s.passwordFile, { minLength: 1 });
    return { name: s.name, host: s.host, port: s.port, username: password === '' ? '' : s.user, password, tls };
  });
  return {
    servers,
    server: {
      dir: join(config.paths.state, 'redis'),
      runDir: config.paths.run,
      port: config.redis.port,
      bind: [config.node.address],
      cluster: cluster.name,
      password: managedPassword,
      tls: pki,
    },
    claim: {
      cluster: cluster.name,
      driver: vip?.driver ?? 'none',
      vip: vip === null || vip.driver === 'none' ? null : { address: vip.address, addresses: vip.addresses, interface: vip.interface },
      redis: listed.map((s) => ({ ...s })),
    },
  };
}

function pem(path: string | null): string {
  return path === null ? '' : readFileSync(path, 'utf8');
}
