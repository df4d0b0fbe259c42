// The two files a managed redis-server starts from, as text. No secret is in either: the ACL holds only the password's hash.
import { createHash } from 'node:crypto';
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
    ['tcp-keepalive', '60'],
    // Agents poll twice a second at least: a client silent for this long is gone.
    ['timeout', '60'],
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

/** users.acl: nobody but `ha`, who may do what the lease scripts, the history and the settings need, on this cluster's keys. */
export function renderAcl(cluster: string, password: string): string {
  const hash = createHash('sha256').update(password).digest('hex');
  return `user default reset\nuser ha reset on #${hash} ~{ha:${cluster}}:* ${allowed.join(' ')}\n`;
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
