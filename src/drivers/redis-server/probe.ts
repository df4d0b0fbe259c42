// Asks the managed server who it is, over its own TLS port as the user `ha`.
import { readFile } from 'node:fs/promises';
import { Redis } from 'ioredis';

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
    const [ca, cert, key] = await Promise.all([readFile(o.tls.ca), readFile(o.tls.cert), readFile(o.tls.key)]);
    return await ask(o, { ca, cert, key });
  } catch {
    return null; // whatever it is, it is not a server that can be used
  }
}

async function ask(
  o: ProbeOptions,
  pem: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer },
): Promise<ProbeAnswer | null> {
  const redis = new Redis({
    host: probeHost(o.bind),
    port: o.port,
    username: 'ha',
    password: o.password,
    // The name in the certificate is this node's; that the CA signed it is enough on a local address.
    tls: { ...pem, rejectUnauthorized: true, checkServerIdentity: () => undefined },
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
    return answerOf(await redis.info('server'));
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
