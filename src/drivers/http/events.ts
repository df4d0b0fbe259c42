// Server-sent events: the status as JSON, at once, on each change, and now and then so that ages stay true.
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Options of the stream. */
export type EventsOptions = {
  /** What is sent. Asked only while somebody listens. */
  readonly status: () => Promise<unknown>;
  readonly everyMs?: number;
  readonly refreshMs?: number;
};

/** The stream's listeners. */
export type Events = {
  /** False: there are as many listeners as there may be. */
  readonly room: () => boolean;
  readonly open: (response: ServerResponse, request: IncomingMessage) => void;
  readonly close: () => void;
};

const LISTENERS_MAX = 16;
const EVERY_MS = 250;
const REFRESH_MS = 5000;
// Ages and latencies change always and mean nothing new.
const restless =
  /^(viewAgeMs|leaseAgeMs|leaseLeftMs|vipOwnerAgeMs|ollamaAgeMs|seenMs|rttMs|lastReplyAgeMs|sinceMs|backoffMs|ageMs|reason)$|[lL]atency|loopLate/;

/** A stream without listeners. */
export function createEvents(options: EventsOptions): Events {
  const listeners = new Set<ServerResponse>();
  let timer: NodeJS.Timeout | null = null;
  let shown = '';
  let sentAt = 0;
  let busy = false;

  async function look(): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      const status = await options.status();
      const signature = JSON.stringify(status, (key, value: unknown) => (restless.test(key) ? undefined : value));
      const now = performance.now();
      if (signature === shown && now - sentAt < (options.refreshMs ?? REFRESH_MS)) return;
      shown = signature;
      sentAt = now;
      const frame = frameOf(status);
      for (const listener of listeners) send(listener, frame);
    } finally {
      busy = false;
    }
  }

  // Who does not read is let go: its answers must not pile up here.
  function send(listener: ServerResponse, frame: string): void {
    if (listener.writableLength > 1_000_000) listener.destroy();
    else listener.write(frame);
  }

  function drop(listener: ServerResponse): void {
    listeners.delete(listener);
    if (listeners.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
    shown = '';
  }

  return {
    room: () => listeners.size < LISTENERS_MAX,
    open(response, request) {
      request.socket.setTimeout(0);
      response.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'x-accel-buffering': 'no',
      });
      response.write('retry: 2000\n\n');
      listeners.add(response);
      response.once('close', () => drop(response));
      void options.status().then(
        (status) => send(response, frameOf(status)),
        () => response.destroy(),
      );
      timer ??= setInterval(() => void look().catch(() => undefined), options.everyMs ?? EVERY_MS);
    },
    close() {
      for (const listener of listeners) listener.end();
    },
  };
}

function frameOf(status: unknown): string {
  return `event: status\ndata: ${JSON.stringify(status)}\n\n`;
}
