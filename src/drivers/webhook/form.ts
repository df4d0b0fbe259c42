// A message in the form of each kind of channel, and whether the answer says that it was taken.
import { createHmac } from 'node:crypto';
import type { Message } from '../../core/alerts/message.ts';
import type { Notice } from '../../core/alerts/types.ts';

/** Kinds of channels. */
export type ChannelKind = 'json' | 'slack' | 'dingtalk' | 'feishu' | 'wecom';

/** A request that is ready to be sent. */
export type Form = { readonly url: string; readonly headers: Readonly<Record<string, string>>; readonly body: string };

/** What a channel needs for its form. `secret` '' = unsigned. */
export type FormTarget = { readonly kind: ChannelKind; readonly url: string; readonly secret: string };

// DingTalk takes 20,000 bytes, WeCom 4,096, Slack 3,000 characters in a block: below all of them.
const TEXT_MAX = 2000;
const MARKS = { info: '🔵', warning: '🟠', critical: '🔴' } as const;

/** The request for a notice. `wallMs` goes into signatures, which are valid for an hour (DingTalk, Feishu). */
export function formOf(target: FormTarget, notice: Notice, message: Message, wallMs: number): Form {
  const headers = { 'content-type': 'application/json; charset=utf-8', 'user-agent': 'ollama-ha' };
  switch (target.kind) {
    case 'json': {
      const body = JSON.stringify({ version: 1, ...notice, title: message.title, text: textOf(message) });
      if (target.secret === '') return { url: target.url, headers, body };
      const signature = createHmac('sha256', target.secret).update(body).digest('hex');
      return { url: target.url, headers: { ...headers, 'x-ollama-ha-signature': `sha256=${signature}` }, body };
    }
    case 'slack':
      return { url: target.url, headers, body: JSON.stringify({ text: slackText(message) }) };
    case 'dingtalk': {
      const text = `### ${titleText(message)}\n\n${message.lines.map((line) => `- **${line.label}** ${line.value}`).join('\n')}`;
      const body = JSON.stringify({ msgtype: 'markdown', markdown: { title: message.title.slice(0, 100), text: text.slice(0, TEXT_MAX) } });
      return { url: dingtalkUrl(target, wallMs), headers, body };
    }
    case 'feishu': {
      const content = { msg_type: 'text', content: { text: `${titleText(message)}\n${textOf(message)}`.slice(0, TEXT_MAX) } };
      return { url: target.url, headers, body: JSON.stringify({ ...feishuSignature(target.secret, wallMs), ...content }) };
    }
    case 'wecom': {
      const lines = message.lines.map((line) => `>${line.label}: <font color="comment">${line.value}</font>`);
      const content = utf8Cut(`**${titleText(message)}**\n${lines.join('\n')}`, TEXT_MAX);
      return { url: target.url, headers, body: JSON.stringify({ msgtype: 'markdown', markdown: { content } }) };
    }
  }
}

/** '' when the channel took the message; else what it said. Some answer errors with status 200. */
export function refusalOf(kind: ChannelKind, status: number, body: string): string {
  if (status < 200 || status > 299) return `HTTP ${status}${body === '' ? '' : `: ${oneLine(body)}`}`;
  if (kind === 'json' || kind === 'slack') return '';
  const code = codeIn(body, kind === 'feishu' ? ['code', 'StatusCode'] : ['errcode']);
  return code === 0 ? '' : `refused: ${oneLine(body)}`;
}

function codeIn(body: string, names: readonly string[]): unknown {
  try {
    const answer = JSON.parse(body) as Record<string, unknown>;
    return names.map((name) => answer[name]).find((value) => value !== undefined);
  } catch {
    return undefined;
  }
}

/** DingTalk: HMAC-SHA256 over `timestamp \n secret` under the secret, base64, in the query. */
function dingtalkUrl({ url, secret }: FormTarget, wallMs: number): string {
  if (secret === '') return url;
  const timestamp = String(Math.round(wallMs));
  const signed = new URL(url);
  signed.searchParams.set('timestamp', timestamp);
  signed.searchParams.set('sign', createHmac('sha256', secret).update(`${timestamp}\n${secret}`).digest('base64'));
  return signed.href;
}

/** Feishu: HMAC-SHA256 over nothing under `timestamp \n secret`, base64, in the body; seconds. */
function feishuSignature(secret: string, wallMs: number): { timestamp?: string; sign?: string } {
  if (secret === '') return {};
  const timestamp = String(Math.floor(wallMs / 1000));
  return { timestamp, sign: createHmac('sha256', `${timestamp}\n${secret}`).digest('base64') };
}

function titleText(message: Message): string {
  return `${message.resolved ? '🟢' : MARKS[message.severity]} ${message.title}`;
}

function textOf(message: Message): string {
  return message.lines.map((line) => `${line.label}: ${line.value}`).join('\n');
}

// Slack reads these three as markup.
function slackText(message: Message): string {
  const safe = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `*${safe(titleText(message))}*\n${safe(textOf(message))}`.slice(0, TEXT_MAX);
}

function utf8Cut(text: string, bytes: number): string {
  const whole = Buffer.from(text, 'utf8');
  return whole.length <= bytes
    ? text
    : whole
        .subarray(0, bytes)
        .toString('utf8')
        .replace(/\uFFFD+$/, '');
}

function oneLine(text: string): string {
  return text
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, 200);
}
