// The queue and its sender against a real receiver: order, retries, bounds, and a process that is killed.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openWebhooks, type WebhookOptions, type Webhooks } from '../../../src/drivers/webhook/sender.ts';
import { channelTo, noticeOf, type Receiver, startReceiver } from './kit.ts';

let dir: string;
let receiver: Receiver;
const open: Webhooks[] = [];
const lines: string[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'ollama-ha-webhook-'));
  receiver = await startReceiver();
  lines.length = 0;
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
  await receiver.close();
  rmSync(dir, { recursive: true, force: true });
});

function start(more: Partial<WebhookOptions> = {}): Webhooks {
  const log: WebhookOptions['log'] = (_level, event, text) => lines.push(`${event} ${text}`);
  const webhooks = openWebhooks({ channels: [channelTo(receiver.url)], dir, runbooks: 'r', wallMs: Date.now, log, retryMs: 20, ...more });
  open.push(webhooks);
  return webhooks;
}

test('messages arrive in order, and nothing is left on disk', async () => {
  const webhooks = start();
  for (let i = 0; i < 5; i++) webhooks.send(noticeOf(i));
  await receiver.got(5);
  await expect.poll(() => readdirSync(dir)).toEqual([]);
  expect(receiver.bodies.map((body) => body.key)).toEqual([0, 1, 2, 3, 4].map((i) => `lab/test/${i}`));
  expect(webhooks.view()).toMatchObject([{ name: 'ops', queued: 0, delivered: 5, dropped: 0, lastError: '' }]);
});

test('a message that is refused stays first in line until it is taken', async () => {
  receiver.answers.push({ status: 500 }, { status: 429, headers: { 'retry-after': '0' } });
  const webhooks = start();
  webhooks.send(noticeOf(0));
  webhooks.send(noticeOf(1));
  await receiver.got(2);
  expect(receiver.bodies.map((body) => body.key)).toEqual(['lab/test/0', 'lab/test/1']);
  expect(lines.filter((line) => line.startsWith('alert_failed'))).toEqual([
    'alert_failed ops did not take a message: HTTP 500; tried again',
    'alert_failed ops did not take a message: HTTP 429; tried again',
  ]);
});

test('kill -9 while the receiver is down loses no message: the next process sends them all, in order', async () => {
  const { port, url } = receiver;
  await receiver.close();
  const child = spawn(process.execPath, [join(import.meta.dirname, 'child.ts'), dir, url], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  expect(readdirSync(dir).length).toBe(10);
  receiver = await startReceiver(port);
  start();
  await receiver.got(10);
  expect(receiver.bodies.map((body) => body.key)).toEqual(Array.from({ length: 10 }, (_, i) => `lab/test/${i}`));
});

test('a damaged file is left out, and does not hold up the others', async () => {
  writeFileSync(join(dir, '0000000001-ops.json'), '{"channel":"ops","noti');
  writeFileSync(join(dir, '0000000002-ops.json'), JSON.stringify({ channel: 'ops', notice: noticeOf(2) }));
  start();
  await receiver.got(1);
  expect(receiver.bodies[0]?.key).toBe('lab/test/2');
});

test('the queue holds a thousand messages: the oldest give way, and it is said', async () => {
  receiver.answers.push(...Array.from({ length: 5 }, () => ({ status: 503 })));
  const webhooks = start({ retryMs: 60_000 });
  for (let i = 0; i < 1003; i++) webhooks.send(noticeOf(i));
  expect(webhooks.view()).toMatchObject([{ queued: 1000, dropped: 3 }]);
  expect(lines.filter((line) => line.startsWith('alert_dropped')).length).toBe(3);
  expect(readdirSync(dir).length).toBe(1000);
});

test('more than the permitted number in a minute waits', async () => {
  const webhooks = start({ channels: [channelTo(receiver.url, { perMinuteMax: 2 })] });
  for (let i = 0; i < 4; i++) webhooks.send(noticeOf(i));
  await receiver.got(2);
  await expect.poll(() => webhooks.view()[0]?.delivered).toBe(2);
  expect(webhooks.view()[0]?.queued).toBe(2);
});

test('a channel gets what is severe enough for it; a test names the error and never the URL', async () => {
  const webhooks = start({ channels: [channelTo(receiver.url, { minSeverity: 'warning' })] });
  webhooks.send(noticeOf(0));
  webhooks.send(noticeOf(1, { severity: 'critical' }));
  await receiver.got(1);
  expect(receiver.bodies.map((body) => body.key)).toEqual(['lab/test/1']);
  expect(await webhooks.test('', noticeOf(2))).toEqual([{ channel: 'ops', error: '' }]);
  await receiver.close();
  const [result] = await webhooks.test('ops', noticeOf(3));
  expect(result?.error).toBe('ECONNREFUSED');
  receiver = await startReceiver();
});
