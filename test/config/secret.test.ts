// Secrets are read from files that nobody else can read, and stand in no message.

import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ConfigError } from '../../src/config/problem.ts';
import { readSecret, redisPassword } from '../../src/config/secret.ts';

const directory = mkdtempSync(join(tmpdir(), 'secret-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const good = 'k'.repeat(64);

function fileOf(name: string, text: string, mode: number): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

function refusal(path: string, options = {}): ConfigError {
  try {
    readSecret(path, options);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('it was read');
}

test('a secret of its owner is read without its newline; the group may read it too', () => {
  expect(readSecret(fileOf('own', `${good}\n`, 0o600))).toBe(good);
  expect(readSecret(fileOf('group', `${good}\r\n`, 0o640))).toBe(good);
});

test('a secret that every user can read or write is refused', () => {
  for (const mode of [0o604, 0o602, 0o666]) {
    expect(refusal(fileOf('open', good, mode)).problems[0]).toMatchObject({
      message: expect.stringContaining('open to every user'),
      hint: expect.stringContaining('chmod 0600'),
    });
  }
});

test('a short secret is refused, unless the caller knows better; its text is in no message', () => {
  const path = fileOf('short', 'tiger', 0o600);
  const { message, problems } = refusal(path);
  expect(message).toContain('too short: 5 characters of at least 32');
  expect(JSON.stringify(problems)).not.toContain('tiger');
  expect(readSecret(path, { minLength: 1 })).toBe('tiger');
});

test('a missing file, a directory, a pipe and a huge file are refused without waiting', () => {
  const pipe = join(directory, 'pipe');
  execFileSync('mkfifo', ['-m', '600', pipe]);
  mkdirSync(join(directory, 'folder'));
  expect(refusal(join(directory, 'none')).message).toContain('there is no secret file');
  expect(refusal(join(directory, 'folder')).message).toContain('not a regular file');
  expect(refusal(pipe).message).toContain('not a regular file');
  expect(refusal(fileOf('huge', 'x'.repeat(5000), 0o600)).message).toContain('larger than');
});

test('the Redis password is an HMAC of the cluster name under the secret', () => {
  expect(redisPassword(good, 'lab')).toBe(createHmac('sha256', good).update('redis:lab').digest('hex'));
  expect(redisPassword(good, 'lab')).not.toBe(redisPassword(good, 'lab2'));
});

test('where the file is missing, the systemd credential of its name is read under the same rules', () => {
  const credentials = join(directory, 'credentials');
  mkdirSync(credentials);
  writeFileSync(join(credentials, 'secret'), `${good}\n`, { mode: 0o400 });
  const env = { CREDENTIALS_DIRECTORY: credentials };
  expect(readSecret('/etc/nowhere/secret', { env })).toBe(good);
  expect(() => readSecret('/etc/nowhere/other', { env })).toThrow('there is no secret file');
  const own = fileOf('preferred', `${good}-of-the-file`, 0o600);
  expect(readSecret(own, { env: { CREDENTIALS_DIRECTORY: directory } })).toBe(`${good}-of-the-file`);
});
