// Turns whatever ioredis rejects with into the core's words, once, at the driver's edge.
import type { ScriptFailure } from '../../core/lease/types.ts';

const byCode: Readonly<Record<string, ScriptFailure>> = {
  OOM: 'oom',
  READONLY: 'readonly',
  LOADING: 'loading',
  NOAUTH: 'noauth',
  WRONGPASS: 'noauth',
  NOPERM: 'noperm',
  MISCONF: 'misconf',
  BUSY: 'busy',
};

const closedMessages = ['Connection is closed', 'Stream isn', 'Command aborted due to connection close', 'Socket timeout'];

/** Why a command failed. Server errors go by their first word; before Redis 7 that word stands behind the script's position. */
export function classifyFailure(error: unknown): ScriptFailure {
  const text = messageOf(error);
  const word = /^([A-Z]+)\b/.exec(text)?.[1] ?? '';
  const known = byCode[word];
  if (known !== undefined) return known;
  if (text === 'Command timed out') return 'timeout';
  if (isClosed(error, text)) return 'closed';
  const nested = /user_script:\d+: -?([A-Z]+)\b/.exec(text)?.[1] ?? '';
  if (byCode[nested] !== undefined) return byCode[nested];
  if (text.includes('user executing the script')) return 'noperm'; // an ACL refusal inside a script carries no word of its own
  return 'other';
}

/**
 * One bounded line for status and log. ioredis hangs the whole command on its errors, so only the message is used;
 * an old server's "unknown command" repeats the arguments of HELLO, the password among them, so they are cut off.
 */
export function describeFailure(error: unknown, secret: string): string {
  const line = messageOf(error)
    .split('with args beginning')[0]
    ?.replace(/[\r\n]+/g, ' ')
    .replace(/\.? script: [0-9a-f]{40}.*$/, '');
  const safe = secret === '' ? (line ?? '') : (line ?? '').replaceAll(secret, '***');
  return safe.slice(0, 200);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function isClosed(error: unknown, text: string): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'MaxRetriesPerRequestError' || error.name === 'AbortError') return true;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return /^E[A-Z]+$/.test(code) || closedMessages.some((start) => text.startsWith(start));
}
