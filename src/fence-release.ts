// RELEASE of exactly one claim on every Redis server, for the stop hook: straight to the servers, without agent and configuration.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { readSecret, redisPassword } from './config/secret.ts';
import { clientOptions, type RedisServerOptions } from './drivers/redis/options.ts';
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
const CONNECT_MS = 500;

/** Starts connecting to every server of the claim, so that the connections are ready when the address is off. Never rejects. */
export async function openRelease(claim: Claim): Promise<Release> {
  const { Redis: Client } = await import('ioredis');
  const servers = claim.redis.map((server) => {
    try {
      return connect(
        new Client({
          ...clientOptions(accessOf(server, claim.cluster), COMMAND_MS),
          connectTimeout: CONNECT_MS,
          retryStrategy: () => null,
        }),
      );
    } catch (error) {
      return { redis: null, ready: Promise.resolve(error instanceof Error ? error.message : String(error)) };
    }
  });

  async function releaseOn(server: Connecting): Promise<string> {
    const problem = await server.ready;
    if (server.redis === null || problem !== '') return problem;
    const call = { script: 'release', me: claim.me, epoch: claim.epoch, nonce: `${claim.me}:stop-${randomUUID()}`, heir: '' } as const;
    const reply = await server.redis.eval(scriptText('release'), 1, leaseKey(claim.cluster), ...scriptArgs(call));
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
      for (const { redis } of servers) redis?.disconnect();
    },
  };
}

type Connecting = {
  readonly redis: Redis | null;
  /** Why there is no connection; '' = there is. */
  readonly ready: Promise<string>;
};

function connect(redis: Redis): Connecting {
  let last = '';
  redis.on('error', (error: Error) => {
    last = error.message;
  });
  const late = new Promise<string>((resolve) => {
    setTimeout(() => resolve(`no connection within ${2 * CONNECT_MS} ms`), 2 * CONNECT_MS).unref();
  });
  const ready = redis.connect().then(
    () => '',
    (error: unknown) => last || String(error),
  );
  return { redis, ready: Promise.race([ready, late]) };
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
