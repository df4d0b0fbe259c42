// Sends what is queued: each channel at its own pace, one message at a time, in order, again and again until it is taken or too old.
import { setTimeout as pause } from 'node:timers/promises';
import { type Message, messageOf, type Wording } from '../../core/alerts/message.ts';
import type { Language, Notice, Severity } from '../../core/alerts/types.ts';
import { type ChannelKind, formOf, refusalOf } from './form.ts';
import { openQueue, type Queued } from './queue.ts';

/** One channel, its secrets read. */
export type Channel = {
  readonly name: string;
  readonly kind: ChannelKind;
  readonly url: string;
  readonly secret: string;
  readonly language: Language;
  readonly minSeverity: Severity;
  readonly perMinuteMax: number;
};

/** What status shows of a channel. */
export type ChannelState = {
  readonly name: string;
  readonly kind: ChannelKind;
  readonly queued: number;
  readonly delivered: number;
  readonly dropped: number;
  readonly lastOkAtMs: number;
  readonly lastError: string;
};

/** Open channels. */
export type Webhooks = {
  /** Queued on disk when it returns, for every channel that wants it. */
  send(notice: Notice): void;
  /** Past the queue, at once; '' = taken, else why not. `channel` '' = each. */
  test(channel: string, notice: Notice): Promise<readonly { readonly channel: string; readonly error: string }[]>;
  view(): readonly ChannelState[];
  close(): Promise<void>;
};

/** Options of the sender. */
export type WebhookOptions = {
  readonly channels: readonly Channel[];
  readonly dir: string;
  readonly runbooks: string;
  readonly wallMs: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', event: string, text: string, fields: Readonly<Record<string, string | number>>) => void;
  /** First wait after a failure; doubles up to RETRY_MS_MAX. */
  readonly retryMs?: number;
};

const RETRY_MS = 1000;
const RETRY_MS_MAX = 300_000;
const REQUEST_MS = 10_000;
const AGE_MS_MAX = 7 * 86_400_000;
const ANSWER_BYTES_MAX = 16_384;
const ranks: Readonly<Record<Severity, number>> = { info: 0, warning: 1, critical: 2 };

type Live = { delivered: number; dropped: number; lastOkAtMs: number; lastError: string; wake: () => void; sentAt: number[] };

/** Opens the queue and begins to send. Throws the file system's error when the directory cannot be made. */
export function openWebhooks(options: WebhookOptions): Webhooks {
  const { channels, wallMs, log } = options;
  const stop = new AbortController();
  const queue = openQueue(options.dir, (text) => log('error', 'alert_queue', text, {}));
  const live = new Map<string, Live>();
  const running = channels.map((channel) => {
    const state: Live = { delivered: 0, dropped: 0, lastOkAtMs: 0, lastError: '', wake: () => undefined, sentAt: [] };
    live.set(channel.name, state);
    return run(channel, state);
  });
  forgetStrangers();

  // A channel that was taken out of the configuration has nobody to send its messages.
  function forgetStrangers(): void {
    const known = new Set(channels.map((channel) => channel.name));
    for (const { id, channel } of queue.all()) {
      if (known.has(channel)) continue;
      log('warn', 'alert_dropped', `a message for ${channel} is dropped: there is no such channel any more`, { channel });
      queue.remove(id);
    }
  }

  function send(notice: Notice): void {
    for (const channel of channels) {
      if (ranks[notice.severity] < ranks[channel.minSeverity]) continue;
      for (const lost of queue.add(channel.name, notice)) drop(lost, 'the queue is full');
      live.get(channel.name)?.wake();
    }
  }

  function drop(lost: Queued, why: string): void {
    const state = live.get(lost.channel);
    if (state !== undefined) state.dropped += 1;
    log('error', 'alert_dropped', `a message to ${lost.channel} is given up: ${why}`, { channel: lost.channel, key: lost.notice.key });
  }

  async function run(channel: Channel, state: Live): Promise<void> {
    let waitMs = options.retryMs ?? RETRY_MS;
    while (!stop.signal.aborted) {
      const [head] = queue.of(channel.name);
      if (head === undefined) {
        await new Promise<void>((resolve) => {
          state.wake = resolve;
        });
        continue;
      }
      if (wallMs() - head.notice.atMs > AGE_MS_MAX) {
        queue.remove(head.id);
        drop(head, 'it is a week old');
        continue;
      }
      await untilAllowed(channel, state);
      const outcome = await deliver(channel, head.notice, stop.signal);
      if (stop.signal.aborted) return;
      if (outcome.error === '') {
        queue.remove(head.id);
        Object.assign(state, { delivered: state.delivered + 1, lastOkAtMs: wallMs(), lastError: '' });
        waitMs = options.retryMs ?? RETRY_MS;
        continue;
      }
      if (state.lastError !== outcome.error) {
        log('warn', 'alert_failed', `${channel.name} did not take a message: ${outcome.error}; tried again`, { channel: channel.name });
      }
      state.lastError = outcome.error;
      await sleep(Math.max(waitMs, outcome.retryAfterMs));
      waitMs = Math.min(RETRY_MS_MAX, 2 * waitMs);
    }
  }

  // A sliding minute: chat services block a bot that sends faster.
  async function untilAllowed({ perMinuteMax }: Channel, state: Live): Promise<void> {
    const now = performance.now();
    state.sentAt = state.sentAt.filter((at) => now - at < 60_000);
    const oldest = state.sentAt[state.sentAt.length - perMinuteMax];
    if (oldest !== undefined) await sleep(60_000 - (now - oldest));
    state.sentAt.push(performance.now());
  }

  async function sleep(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: stop.signal, ref: false }).catch(() => undefined);
  }

  async function deliver(channel: Channel, notice: Notice, signal: AbortSignal): Promise<Outcome> {
    const form = formOf(channel, notice, worded(channel, notice), wallMs());
    try {
      // Loaded with the first message: most agents never send one.
      const { request } = await import('undici');
      const { statusCode, headers, body } = await request(form.url, {
        method: 'POST',
        headers: form.headers,
        body: form.body,
        // Messages are rare: a kept connection would be one that the other side has closed.
        reset: true,
        headersTimeout: REQUEST_MS,
        bodyTimeout: REQUEST_MS,
        signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)]),
      });
      const text = await textOf(body);
      const error = refusalOf(channel.kind, statusCode, text);
      return { error, retryAfterMs: error === '' ? 0 : retryAfterMs(headers['retry-after']) };
    } catch (error) {
      return { error: reasonOf(error), retryAfterMs: 0 };
    }
  }

  function worded(channel: Channel, notice: Notice): Message {
    const wording: Wording = { language: channel.language, runbooks: options.runbooks, time: (ms) => new Date(ms).toISOString() };
    return messageOf(notice, wording);
  }

  return {
    send,
    async test(name, notice) {
      const asked = channels.filter((channel) => name === '' || channel.name === name);
      return Promise.all(
        asked.map(async (channel) => ({ channel: channel.name, error: (await deliver(channel, notice, stop.signal)).error })),
      );
    },
    view: () =>
      channels.map(({ name, kind }) => {
        const { delivered = 0, dropped = 0, lastOkAtMs = 0, lastError = '' } = live.get(name) ?? {};
        return { name, kind, queued: queue.of(name).length, delivered, dropped, lastOkAtMs, lastError };
      }),
    async close() {
      stop.abort();
      for (const state of live.values()) state.wake();
      await Promise.all(running);
    },
  };
}

type Outcome = { readonly error: string; readonly retryAfterMs: number };

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > ANSWER_BYTES_MAX) break;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function retryAfterMs(header: string | string[] | undefined): number {
  const seconds = Number(typeof header === 'string' ? header : Number.NaN);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(RETRY_MS_MAX, 1000 * seconds) : 0;
}

// The URL is a password: an error's text may carry it, its code does not.
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'failed';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (error.name === 'TimeoutError' || code.endsWith('_TIMEOUT')) return `no answer within ${REQUEST_MS / 1000} s`;
  return code === '' ? error.name : code;
}
