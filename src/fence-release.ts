// RELEASE of exactly one claim on every Redis server, for the stop hook: straight to the servers, without agent and configuration.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readSecret, redisPassword } from './config/secret.ts';
import { connectOnce, type OnceConnection } from './drivers/redis/once.ts';
import type { RedisServerOptions } from './drivers/redis/options.ts';
import { leaseKey, scriptArgs, scriptText } from './drivers/redis/scripts.ts';
import type { ClaimFacts } from './drivers/state/files.ts';

/** What the agent left in claim.json. */
export type Claim = ClaimFacts & { readonly me: string; readonly epoch: number };

/** Connections under way. */
export type Release = {
  /** Releases the claim; the text says what the servers answered. Succeeds when a majority has nothing of ours any more. */
  run(): Promise<{ readonly ok: boolean; readonly text: string }>;
  /** Ends the connections, used or not. */
  end(): void;
};

// Long enough for a loaded host: a release that is given up costs the cluster a whole lease, waiting costs only this hook.
const COMMAND_MS = 400;
const CONNECT_MS = 1000;

/** Starts connecting to every server of the claim, so that the connections are ready when the address is off. Never throws. */
export function openRelease(claim: Claim): Release {
  const servers = claim.redis.map((server): OnceConnection | string => {
    try {
      return connectOnce(accessOf(server, claim.cluster), CONNECT_MS);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  });

  async function releaseOn(server: OnceConnection | string): Promise<string> {
    if (typeof server === 'string') return server;
    const problem = await server.ready;
    if (problem !== '') return problem;
    const call = { script: 'release', me: claim.me, epoch: claim.epoch, nonce: `${claim.me}:stop-${randomUUID()}`, heir: '' } as const;
    const reply = await server.evaluate(scriptText('release'), leaseKey(claim.cluster), scriptArgs(call), COMMAND_MS);
    const code = Array.isArray(reply) ? String(reply[0]) : '';
    return code === 'ok' || code === 'lost' ? '' : `unexpected answer ${JSON.stringify(code)}`;
  }

  return {
    async run() {
      const problems = await Promise.all(servers.map((server) => releaseOn(server).catch((error: unknown) => String(error))));
      const done = problems.filter((problem) => problem === '').length;
      const why = problems.flatMap((problem, i) => (problem === '' ? [] : [`${claim.redis[i]?.name}: ${problem}`]));
      const text = [`${done} of ${servers.length} servers`, ...why].join('; ');
      return { ok: done > servers.length / 2, text };
    },
    end() {
      for (const server of servers) if (typeof server !== 'string') server.end();
    },
  };
}

function accessOf(server: ClaimFacts['redis'][number], cluster: string): RedisServerOptions {
  const { tls } = server;
  const pem = (path: string | null | undefined) => (path === null || path === undefined ? '' : readFileSync(path, 'utf8'));
  const managed = server.secretFile !== null;
  const password = passwordOf(server, cluster);
  return {
    name: server.name,
    host: server.host,
    port: server.port,
    username: password === '' ? '' : server.user,
    password,
    // A managed server shows its node's own certificate.
    tls:
      tls === null
        ? null
        : { ca: pem(tls.ca), cert: pem(tls.cert), key: pem(tls.key), serverName: managed ? `${server.name}.${cluster}.ollama-ha` : '' },
  };
}

function passwordOf(server: ClaimFacts['redis'][number], cluster: string): string {
  if (server.passwordFile !== null) return readSecret(server.passwordFile, { minLength: 1 });
  return server.secretFile === null ? '' : redisPassword(readSecret(server.secretFile), cluster);
}
