// The two files a managed redis-server starts from, as text. No secret is in either: the ACL holds only the password's hash.
import { createHash, createHmac } from 'node:crypto';
import { join } from 'node:path';
import { RedisServerError } from './error.ts';

/** Names of the files of one managed server. */
export type ServerFiles = { readonly conf: string; readonly acl: string; readonly log: string; readonly pid: string };

/** What the configuration file is made of. */
export type ConfOptions = {
  readonly dir: string;
  readonly runDir: string;
  readonly port: number;
  readonly bind: readonly string[];
  readonly cluster: string;
  readonly password: string;
  /** Paths of PEM files. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
};

/** Where the files of a managed server lie. */
export function serverFiles(dir: string, runDir: string): ServerFiles {
  return {
    conf: join(dir, 'redis.conf'),
    acl: join(dir, 'users.acl'),
    log: join(dir, 'redis.log'),
    pid: join(runDir, 'redis.pid'),
  };
}

/** redis.conf: TLS only, nothing on disk, never evicts. */
export function renderConf(o: ConfOptions): string {
  if (o.bind.length === 0)
    throw new RedisServerError('REDIS_SERVER_CONFIG', 'the managed Redis has no address to listen on', 'set node.address');
  const files = serverFiles(o.dir, o.runDir);
  const lines: readonly (readonly string[])[] = [
    ['bind', ...o.bind.map(quote)],
    ['port', '0'],
    ['tls-port', String(o.port)],
    ['tls-ca-cert-file', quote(o.tls.ca)],
    ['tls-cert-file', quote(o.tls.cert)],
    ['tls-key-file', quote(o.tls.key)],
    ['tls-auth-clients', 'yes'],
    ['tls-protocols', '"TLSv1.3"'],
    // Every user has a password and every client a certificate; the mode would only refuse the other nodes.
    ['protected-mode', 'no'],
    ['aclfile', quote(files.acl)],
    ['dir', quote(o.dir)],
    ['save', '""'],
    ['appendonly', 'no'],
    ['maxmemory', '64mb'],
    ['maxmemory-policy', 'noeviction'],
    ['maxclients', '512'],
    ['client-query-buffer-limit', '1mb'],
    ['databases', '1'],
    ['hz', '10'],
    // Ends the connections of hosts that are gone. No idle timeout: Redis counts it by the wall clock, and a step of that would cut everybody.
    ['tcp-keepalive', '60'],
    ['timeout', '0'],
    ['daemonize', 'no'],
    ['supervised', 'no'],
    ['pidfile', quote(files.pid)],
    ['logfile', quote(files.log)],
    ['loglevel', 'notice'],
    // Keeps the path of this file in /proc/PID/cmdline, by which the next agent knows the process as ours.
    ['set-proc-title', 'no'],
  ];
  return `${lines.map((words) => words.join(' ')).join('\n')}\n`;
}

/** Password of the user `tls`, who may only tell the server to read its certificates anew. */
export function tlsPasswordOf(password: string): string {
  return createHmac('sha256', password).update('tls').digest('hex');
}

/**
 * users.acl: `ha` may do what the lease scripts, the history and the settings need, on this cluster's keys; `tls` may change settings that are
 * not protected and has no key. Nobody else is let in.
 */
export function renderAcl(cluster: string, password: string): string {
  const hash = createHash('sha256').update(password).digest('hex');
  const tlsHash = createHash('sha256').update(tlsPasswordOf(password)).digest('hex');
  return [
    'user default reset',
    `user ha reset on #${hash} ~{ha:${cluster}}:* ${allowed.join(' ')}`,
    `user tls reset on #${tlsHash} +config|set +hello +auth +select`,
    '',
  ].join('\n');
}

// Commands inside a script are checked against the caller. HELLO, AUTH, SELECT, CLIENT SETNAME: the client's handshake.
const allowed = ['+eval', '+evalsha', '+hmget', '+hset', '+info', '+hello', '+auth', '+ping', '+select', '+client|setname'];

function quote(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not get in
  if (/[\u0000-\u001f]/.test(text)) {
    throw new RedisServerError(
      'REDIS_SERVER_CONFIG',
      'a path or address of the managed Redis contains a control character',
      'check paths, pki and node.address',
    );
  }
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}
