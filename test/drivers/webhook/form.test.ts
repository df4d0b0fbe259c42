// The form of each kind of channel, its signature, and what counts as taken.
import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { messageOf } from '../../../src/core/alerts/message.ts';
import type { Notice } from '../../../src/core/alerts/types.ts';
import { formOf, refusalOf } from '../../../src/drivers/webhook/form.ts';

const notice: Notice = {
  k: 'alert',
  key: 'lab/ollama_down/gpu1',
  cluster: 'lab',
  node: 'gpu2',
  name: 'ollama_down',
  subject: 'gpu1',
  severity: 'critical',
  state: 'firing',
  args: { reason: 'nobody <listens> & waits' },
  sinceMs: 1_795_000_000_000,
  atMs: 1_795_000_005_000,
};
const wording = (language: 'en' | 'zh') => ({ language, runbooks: 'docs/runbooks.md', time: (ms: number) => new Date(ms).toISOString() });
const english = messageOf(notice, wording('en'));
const wallMs = 1_795_000_006_789;

test('the generic form carries the notice with its key, signed over the exact body', () => {
  const form = formOf({ kind: 'json', url: 'http://h/x', secret: 'key' }, notice, english, wallMs);
  const body = JSON.parse(form.body);
  expect(body).toMatchObject({
    version: 1,
    key: 'lab/ollama_down/gpu1',
    state: 'firing',
    title: 'Ollama is down on gpu1: nobody <listens> & waits',
  });
  expect(body.text).toContain('runbook: docs/runbooks.md#node-died');
  expect(form.headers['x-ollama-ha-signature']).toBe(`sha256=${createHmac('sha256', 'key').update(form.body).digest('hex')}`);
  expect(formOf({ kind: 'json', url: 'http://h/x', secret: '' }, notice, english, wallMs).headers).not.toHaveProperty(
    'x-ollama-ha-signature',
  );
});

test('Slack gets its markup characters escaped', () => {
  const { text } = JSON.parse(formOf({ kind: 'slack', url: 'http://h', secret: '' }, notice, english, wallMs).body);
  expect(text).toContain('nobody &lt;listens&gt; &amp; waits');
});

test('DingTalk is signed in the query, in milliseconds, and keeps the access token', () => {
  const form = formOf({ kind: 'dingtalk', url: 'https://oapi.example/robot/send?access_token=t', secret: 'SEC1' }, notice, english, wallMs);
  const { searchParams } = new URL(form.url);
  expect(searchParams.get('access_token')).toBe('t');
  expect(searchParams.get('timestamp')).toBe(String(wallMs));
  expect(searchParams.get('sign')).toBe(createHmac('sha256', 'SEC1').update(`${wallMs}\nSEC1`).digest('base64'));
  expect(JSON.parse(form.body)).toMatchObject({ msgtype: 'markdown' });
});

test('Feishu is signed in the body, in seconds, under timestamp and secret, over nothing', () => {
  const body = JSON.parse(formOf({ kind: 'feishu', url: 'https://h', secret: 'S' }, notice, english, wallMs).body);
  expect(body).toMatchObject({ msg_type: 'text', timestamp: '1795000006' });
  expect(body.sign).toBe(createHmac('sha256', '1795000006\nS').digest('base64'));
});

test('WeCom stays below its 4,096 bytes also in Chinese', () => {
  const long: Notice = { ...notice, args: { reason: '原'.repeat(300) } };
  const form = formOf({ kind: 'wecom', url: 'https://h', secret: '' }, long, messageOf(long, wording('zh')), wallMs);
  const { content } = JSON.parse(form.body).markdown;
  expect(Buffer.byteLength(content)).toBeLessThanOrEqual(4096);
  expect(content).toContain('gpu1 上的 Ollama 不可用');
  expect(content).not.toContain('\uFFFD');
});

test('an error that comes with status 200 is a refusal', () => {
  expect(refusalOf('dingtalk', 200, '{"errcode":0,"errmsg":"ok"}')).toBe('');
  expect(refusalOf('dingtalk', 200, '{"errcode":310000,"errmsg":"sign not match"}')).toContain('sign not match');
  expect(refusalOf('feishu', 200, '{"StatusCode":0}')).toBe('');
  expect(refusalOf('feishu', 200, '{"code":19021,"msg":"sign match fail"}')).toContain('19021');
  expect(refusalOf('wecom', 200, '<html>a proxy</html>')).toContain('refused');
  expect(refusalOf('slack', 404, 'no_team')).toBe('HTTP 404: no_team');
  expect(refusalOf('json', 204, '')).toBe('');
});
