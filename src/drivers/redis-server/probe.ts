// Asks the managed server who it is, over its own TLS port as the user `ha`.
import { readFile } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { tlsPasswordOf } from './conf.ts';

/** Where and how to ask. */
export type ProbeOptions = {
  readonly port: number;
  readonly bind: readonly string[];
  readonly password: string;
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
};

/** What it answered. */
export type ProbeAnswer = { readonly pid: number; readonly conf: string };

const timeoutMs = 500;

/** The server's process id and configuration path, or null when nothing that is ours answers within about half a second. */
export async function probe(o: ProbeOptions): Promise<ProbeAnswer | null> {
  try {
    return await withServer(o, { user: 'ha', password: o.password }, async (redis) => answerOf(await redis.info('server')));
  } catch {
    return null; // whatever it is, it is not a server that can be used
  }
}

/** Makes the server read its certificates anew. Settings of one call are taken together or not at all. */
export async function renewCertificates(o: ProbeOptions): Promise<void> {
  const { ca, cert, key } = o.tls;
  await withServer(o, { user: 'tls', password: tlsPasswordOf(o.password) }, (redis) =>
    redis.config('SET', 'tls-ca-cert-file', ca, 'tls-cert-file', cert, 'tls-key-file', key),
  );
}

async function withServer<T>(
  o: ProbeOptions,
  who: { readonly user: string; readonly password: string },
  act: (redis: Redis) => Promise<T>,
): Promise<T> {
  const [ca, cert, key] = await Promise.all([readFile(o.tls.ca), readFile(o.tls.cert), readFile(o.tls.key)]);
  const redis = new Redis({
    host: probeHost(o.bind),
    port: o.port,
    username: who.user,
    password: who.password,
    // The name in the certificate is this node's; that the CA signed it is enough on a local address.
    tls: { ca, cert, key, rejectUnauthorized: true, checkServerIdentity: () => undefined },
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    disableClientInfo: true,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    connectTimeout: timeoutMs,
    disconnectTimeout: 100,
    retryStrategy: () => null,
  });
  redis.on('error', () => {}); // the rejected call below tells
  try {
    await redis.connect();
    return await act(redis);
  } finally {
    redis.disconnect();
  }
}

function answerOf(info: string): ProbeAnswer | null {
  const pid = /^process_id:([0-9]{1,10})\r?$/m.exec(info)?.[1];
  const conf = /^config_file:(.*?)\r?$/m.exec(info)?.[1];
  return pid === undefined || conf === undefined ? null : { pid: Number(pid), conf };
}

function probeHost(bind: readonly string[]): string {
  const first = bind[0] ?? '127.0.0.1';
  if (first === '*' || first === '0.0.0.0') return '127.0.0.1';
  return first === '::' ? '::1' : first;
}
