// A receiver of webhooks, and messages to send to it.
import { createServer } from 'node:http';
import type { Notice } from '../../../src/core/alerts/types.ts';
import type { Channel } from '../../../src/drivers/webhook/sender.ts';

/** What a receiver got, and what it answers next. */
export type Receiver = {
  readonly url: string;
  readonly port: number;
  readonly bodies: { readonly key: string; readonly title: string }[];
  /** Answers for the next requests; then 200. */
  readonly answers: { readonly status: number; readonly headers?: Readonly<Record<string, string>> }[];
  /** Resolves once so many messages were taken. */
  readonly got: (count: number) => Promise<void>;
  readonly close: () => Promise<void>;
};

/** Listens on a free port of 127.0.0.1, or on `port`. */
export async function startReceiver(port = 0): Promise<Receiver> {
  const bodies: Receiver['bodies'][number][] = [];
  const answers: Receiver['answers'][number][] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const answer = answers.shift() ?? { status: 200 };
      if (answer.status === 200) bodies.push(JSON.parse(Buffer.concat(parts).toString('utf8')));
      response.writeHead(answer.status, answer.headers).end();
      for (const one of waiting) if (bodies.length >= one.count) one.resolve();
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const address = server.address();
  const bound = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${bound}/hook`,
    port: bound,
    bodies,
    answers,
    got: (count) => new Promise((resolve) => (bodies.length >= count ? resolve() : waiting.push({ count, resolve }))),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** A generic channel to a URL. */
export function channelTo(url: string, more: Partial<Channel> = {}): Channel {
  return { name: 'ops', kind: 'json', url, secret: '', language: 'en', minSeverity: 'info', perMinuteMax: 600, ...more };
}

/** The message number `i`. */
export function noticeOf(i: number, more: Partial<Extract<Notice, { k: 'test' }>> = {}): Notice {
  return { k: 'test', key: `lab/test/${i}`, cluster: 'lab', node: 'gpu1', severity: 'info', by: 'me', atMs: Date.now(), ...more };
}
