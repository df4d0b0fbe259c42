// Every ioredis option that matters, set explicitly: its defaults suit a cache, and most of them are wrong for a lease.
import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { RedisOptions } from 'ioredis';

/** TLS material as PEM text. */
export type RedisTls = {
  /** CA of the server; '' = the system's. */
  readonly ca: string;
  /** Client certificate and key; '' = none. */
  readonly cert: string;
  readonly key: string;
  /** DNS name the server's certificate must carry; '' = the host. */
  readonly serverName: string;
};

/** One entry of the configured list of Redis servers. */
export type RedisServerOptions = {
  /** How status and logs call it. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** '' = the server asks for none. */
  readonly username: string;
  readonly password: string;
  readonly tls: RedisTls | null;
};

/** The operator's TLS files do not work. */
class RedisTlsError extends Error {
  readonly code = 'REDIS_TLS';
  readonly hint: string;

  constructor(server: string, cause: unknown) {
    super(`redis server ${server}: the TLS certificate, key or CA cannot be used`, { cause });
    this.name = 'RedisTlsError';
    this.hint = 'check pki.ca, pki.cert and pki.key (PEM, the key must belong to the certificate)';
  }
}

/**
 * Options of the one connection to `server`. `commandTimeoutMs` bounds one command; a socket that owes an answer for
 * 250 ms longer is destroyed, which bounds the commands that a stalled server runs late.
 */
export function clientOptions(server: RedisServerOptions, commandTimeoutMs: number): RedisOptions & { replyMapping: 'legacy' } {
  return {
    host: server.host,
    port: server.port,
    family: 0,
    db: 0,
    ...(server.username === '' ? {} : { username: server.username }),
    ...(server.password === '' ? {} : { password: server.password }),
    ...(server.tls === null ? {} : { tls: tlsOptions(server.name, server.tls) }),
    connectionName: 'ollama-ha',
    // CLIENT SETINFO is outside the minimal ACL and unknown before Redis 7.2.
    disableClientInfo: true,
    protocol: 3,
    replyMapping: 'legacy',
    stringNumbers: false,
    readOnly: false,
    keyPrefix: '',

    lazyConnect: true,
    enableOfflineQueue: false,
    // Together with resend off this rejects commands in flight when the socket closes; resend off alone leaves them
    // pending for ever after a reconnect (ioredis #2193).
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableAutoPipelining: false,
    // A loading server shall answer -LOADING, which status shows, instead of looking closed.
    enableReadyCheck: false,

    commandTimeout: commandTimeoutMs,
    socketTimeout: commandTimeoutMs + 250,
    connectTimeout: Math.max(300, 2 * commandTimeoutMs),
    disconnectTimeout: 200,
    keepAlive: 1000,
    noDelay: true,
    retryStrategy: (attempt) => Math.min(50 * attempt, 500) + Math.random() * 50,
    // A replica is the wrong node: the name may lead to another one by now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    showFriendlyErrorStack: false,
  };
}

/** What a connection to `server` needs beside host and port. Throws RedisTlsError. */
export function tlsOptions(server: string, tls: RedisTls): NonNullable<RedisOptions['tls']> {
  return {
    secureContext: secureContext(server, tls),
    rejectUnauthorized: true,
    ...(tls.serverName === '' ? {} : { servername: tls.serverName }),
  };
}

/** A TLS context; throws RedisTlsError when the files are unusable. */
export function secureContext(server: string, tls: RedisTls): SecureContext {
  try {
    const identity = tls.cert === '' ? {} : { cert: tls.cert, key: tls.key };
    if (tls.ca === '') return createSecureContext({ minVersion: 'TLSv1.2', ...identity });
    new X509Certificate(tls.ca); // throws; createSecureContext silently ignores a text that is no certificate
    return createSecureContext({ minVersion: 'TLSv1.2', ca: tls.ca, ...identity });
  } catch (cause) {
    throw new RedisTlsError(server, cause);
  }
}
