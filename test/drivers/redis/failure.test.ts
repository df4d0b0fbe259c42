import { expect, test } from 'vitest';
import { classifyFailure, describeFailure } from '../../../src/drivers/redis/failure.ts';
import { parseReply } from '../../../src/drivers/redis/reply.ts';

const run = 'ab'.repeat(20);
const reply = ['ok', run, 'gpu1#1', '1', 'gpu1#1:1', '0', '', '1', '{}'];

test.each([
  ["OOM command not allowed when used memory > 'maxmemory'. script: 0, on @user_script:18.", 'oom'],
  ["READONLY You can't write against a read only replica.", 'readonly'],
  ['LOADING Redis is loading the dataset in memory', 'loading'],
  ['NOAUTH Authentication required.', 'noauth'],
  ['WRONGPASS invalid username-password pair or user is disabled.', 'noauth'],
  ["NOPERM this user has no permissions to run the 'eval' command", 'noperm'],
  ["ERR Error running script (call to f_0): @user_script:18: -OOM command not allowed when used memory > 'maxmemory'.", 'oom'],
  ["ERR Error running script: @user_script: 7: The user executing the script can't run this command or subcommand", 'noperm'],
  ['MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.', 'misconf'],
  ['BUSY Redis is busy running a script.', 'busy'],
  ['WRONGTYPE Operation against a key holding the wrong kind of value', 'other'],
  ['Command timed out', 'timeout'],
  ['Connection is closed.', 'closed'],
  ["Stream isn't writeable and enableOfflineQueue options is false", 'closed'],
  ['something new', 'other'],
])('%s is classified', (message, why) => {
  expect(classifyFailure(new Error(message))).toBe(why);
});

test('errors of the socket are closed', () => {
  expect(classifyFailure(Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' }))).toBe('closed');
  expect(classifyFailure('not an error')).toBe('other');
});

test('a description is one bounded line without the secret, also where an old server repeats its arguments', () => {
  const error = new Error("ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'ha' 'secre");
  expect(describeFailure(error, 'secret-word')).toBe("ERR unknown command 'HELLO', ");
  expect(describeFailure(new Error('bad secret-word\nand more'), 'secret-word')).toBe('bad *** and more');
  expect(describeFailure(new Error('x'.repeat(5000)), '').length).toBe(200);
});

test('a reply in the shape of the record is accepted', () => {
  expect(parseReply(reply)).toEqual({
    code: 'ok',
    snap: { run, o: 'gpu1#1', e: '1', n: 'gpu1#1:1', rel: '0', heir: '', hi: '1', meta: '{}' },
  });
});

test.each([
  ['no array', 'ok'],
  ['eight items', reply.slice(0, 8)],
  ['ten items', [...reply, '']],
  ['a number in it', reply.with(3, 1 as unknown as string)],
  ['an unknown code', reply.with(0, 'fine')],
  ['a short run_id', reply.with(1, 'abc')],
  ['an epoch that is no number', reply.with(3, '1e9')],
  ['a highest epoch that is too long', reply.with(7, '1'.repeat(17))],
  ['a released flag of another kind', reply.with(5, 'yes')],
  ['an endless owner', reply.with(2, 'o'.repeat(129))],
  ['an endless nonce', reply.with(4, 'n'.repeat(201))],
  ['an endless heir', reply.with(6, 'h'.repeat(64))],
  ['an endless meta', reply.with(8, 'm'.repeat(16_385))],
])('a reply with %s is refused', (_case, raw) => {
  expect(parseReply(raw)).toHaveProperty('problem');
});
