// Secrets live in files; this is the one way to read them. Only node: modules, so that the stop hook may use it within its time.
import { createHmac } from 'node:crypto';
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Env } from './env.ts';
import { ConfigError, problemOf } from './problem.ts';

/** Fewer characters can be guessed. */
const secretLengthMin = 32;
const secretBytesMax = 4096;

/**
 * The text of a secret file without its final newline. Throws a ConfigError when the file is missing, not a regular file,
 * readable or writable by others, or the secret is shorter than `minLength` (32 by default). The text itself is in no message.
 * Where the file is missing, a systemd credential of its name counts (`LoadCredential=secret:...` for `/etc/ollama-ha/secret`).
 */
export function readSecret(path: string, options: { readonly minLength?: number; readonly env?: Env } = {}): string {
  const minLength = options.minLength ?? secretLengthMin;
  const text = readGuarded(placeOf(path, options.env ?? process.env)).replace(/\r?\n$/, '');
  if (text.length < minLength) {
    throw refusal(path, `the secret is too short: ${text.length} characters of at least ${minLength}`, makeOne(path));
  }
  return text;
}

/** Password of the managed Redis servers, 64 hex digits: HMAC-SHA256 under the cluster secret. */
export function redisPassword(secret: string, cluster: string): string {
  return createHmac('sha256', secret).update(`redis:${cluster}`).digest('hex');
}

function placeOf(path: string, env: Env): string {
  const credentials = env.CREDENTIALS_DIRECTORY;
  if (credentials === undefined || existsSync(path)) return path;
  const credential = join(credentials, basename(path));
  return existsSync(credential) ? credential : path;
}

function readGuarded(path: string): string {
  let file: number;
  try {
    // Not blocking: a FIFO in place of the file must not hang the start.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw unreadable(path, (cause as NodeJS.ErrnoException).code ?? 'error');
  }
  try {
    const { mode, size } = fstatSync(file);
    if ((mode & 0o170000) !== 0o100000) throw refusal(path, 'the secret is not a regular file', makeOne(path));
    if ((mode & 0o007) !== 0) throw refusal(path, `the secret is open to every user (mode ${octal(mode)})`, `chmod 0600 ${path}`);
    if (size > secretBytesMax) throw refusal(path, `the secret is larger than ${secretBytesMax} bytes`, makeOne(path));
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

function unreadable(path: string, code: string): ConfigError {
  if (code === 'ENOENT') return refusal(path, 'there is no secret file', makeOne(path));
  return refusal(path, `the secret cannot be read (${code})`, 'start as root, or give the file to the user that runs the agent');
}

function makeOne(path: string): string {
  return `make one for the whole cluster: umask 077; openssl rand -hex 32 > ${path}, then copy it to every node`;
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}

function refusal(path: string, message: string, hint: string): ConfigError {
  return new ConfigError([problemOf(path, message, hint)]);
}
