// What the parts of the agent need of the configuration, in their own words.
import type { LeaseConfig } from '../core/lease/types.ts';
import type { Config } from './schema.ts';

/** The lease's timing and policy. L is 0 where the kernel fence is required, else what `lease.lockDelayMs` says (1300 by default). */
export function leaseConfigOf(config: Config): LeaseConfig {
  const { lease } = config;
  return {
    ttlMs: lease.ttlMs,
    renewMs: lease.renewMs,
    pollMs: lease.pollMs,
    guardMs: lease.guardMs,
    driftPpm: lease.driftPpm,
    lockDelayMs: lease.lockDelayMs,
    claimTimeoutMs: lease.claimTimeoutMs,
    backoffMinMs: lease.backoffMs[0],
    backoffMaxMs: lease.backoffMs[1],
    heirGraceMs: lease.heirGraceMs,
    rankDelayMs: lease.rankDelayMs,
    failsafe: lease.failsafe,
    servers: redisServersOf(config).length,
    fenceRequired: fenceRequired(config),
  };
}

/** One Redis server to talk to; also the form in which `claim.json` keeps it for the stop hook. */
export type RedisServer = {
  /** What status calls it: the voter's id, or host:port. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** File with the password; null: it follows from `secretFile` (see secret.ts), or there is none. */
  readonly passwordFile: string | null;
  /** File with the cluster secret; null for an external server. */
  readonly secretFile: string | null;
  /** cert and key are null where the server is not one of ours. */
  readonly tls: { readonly ca: string | null; readonly cert: string | null; readonly key: string | null } | null;
};

/** The voting servers in the order of the configuration, the same everywhere. */
export function redisServersOf(config: Config): readonly RedisServer[] {
  const { redis, pki, cluster } = config;
  if (redis.managed) {
    return redis.voters.map((voter) => ({
      name: voter.id,
      host: voter.address,
      port: redis.port,
      user: 'ha',
      passwordFile: null,
      secretFile: cluster.secretFile,
      tls: { ...pki },
    }));
  }
  return redis.servers.map((server) => ({
    name: `${server.host}:${server.port}`,
    host: server.host,
    port: server.port,
    user: server.user,
    passwordFile: server.passwordFile,
    secretFile: null,
    tls: server.tls ? { ca: server.ca, cert: null, key: null } : null,
  }));
}

/** This host runs a managed Redis, and so has a vote. */
export function votesHere(config: Config): boolean {
  return config.redis.managed && config.redis.voters.some((voter) => voter.id === config.node.id);
}

/** A claim on this node needs a proven kernel fence. */
export function fenceRequired(config: Config): boolean {
  return config.vip !== null && config.vip.driver !== 'none' && config.vip.fence === 'required';
}
