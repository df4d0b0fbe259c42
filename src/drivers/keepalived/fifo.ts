// keepalived's own words: it creates a FIFO and writes a line at each change of state. While it holds the FIFO open, it lives.
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { Socket } from 'node:net';

/** States of a VRRP instance as keepalived names them; '' = not told yet. */
export type VrrpState = 'MASTER' | 'BACKUP' | 'FAULT' | 'STOP' | '';

/** One line of the FIFO about an instance. */
export type VrrpEvent = { readonly instance: string; readonly state: VrrpState; readonly priority: number };

/** The newest word about the instance. `at`: monotonic ms of the last change of state, or of the end of keepalived; 0 = none seen. */
export type VrrpView = { readonly alive: boolean; readonly state: VrrpState; readonly priority: number; readonly at: number };

/** The reader. `alive`: a keepalived has the FIFO open. */
export type Fifo = {
  alive(): boolean;
  state(): VrrpState;
  view(): VrrpView;
  /** BACKUP straight after MASTER: a higher priority was heard. FAULT between the two is an order of ours, or a fault of this host. */
  overruled(): boolean;
  /** `state` false: keepalived appeared or disappeared; true: it told a state. Returns how to stop listening. */
  onChange(listener: (state: boolean) => void): () => void;
  close(): void;
};

const RETRY_MS = 100;
const LINE_BYTES_MAX = 4096;

/** Reads the FIFO at `path` for one instance, for as long as it takes: keepalived may come and go. `now` is CLOCK_MONOTONIC in ms. */
export function openFifo(path: string, instance: string, now: () => number): Fifo {
  const listeners = new Set<(state: boolean) => void>();
  let socket: Socket | null = null;
  let state: VrrpState = '';
  let overruled = false;
  let priority = 0;
  let at = 0;
  let rest = '';
  let retry: NodeJS.Timeout | undefined;
  let closed = false;

  const tell = (about: boolean) => {
    for (const listener of listeners) listener(about);
  };

  function attempt(): void {
    const opened = openLive(path);
    if (opened === null) {
      retry = setTimeout(attempt, RETRY_MS);
      return;
    }
    rest = '';
    socket = new Socket({ fd: opened.fd, readable: true, writable: false });
    socket
      .setEncoding('utf8')
      .on('data', read)
      .on('error', () => {})
      .on('close', ended);
    tell(false);
    if (opened.text !== '') read(opened.text);
  }

  function read(chunk: string | Buffer): void {
    const lines = (rest + String(chunk)).split('\n');
    rest = (lines.pop() ?? '').slice(0, LINE_BYTES_MAX);
    for (const line of lines) {
      const event = parseFifoLine(line);
      if (event === null || event.instance !== instance) continue;
      priority = event.priority;
      if (event.state === '') continue;
      if (event.state !== state) {
        at = now();
        overruled = event.state === 'BACKUP' && state === 'MASTER';
      }
      state = event.state;
      tell(true);
    }
  }

  function ended(): void {
    socket = null;
    state = '';
    overruled = false;
    at = now();
    if (closed) return;
    tell(false);
    retry = setTimeout(attempt, RETRY_MS);
  }

  attempt();
  return {
    alive: () => socket !== null,
    state: () => state,
    overruled: () => overruled,
    view: () => ({ alive: socket !== null, state, priority, at }),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      closed = true;
      clearTimeout(retry);
      socket?.destroy();
    },
  };
}

/** Opens the FIFO if somebody writes to it: without a writer the first read returns nothing instead of EAGAIN. */
function openLive(path: string): { readonly fd: number; readonly text: string } | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  const buffer = Buffer.alloc(LINE_BYTES_MAX);
  try {
    const length = readSync(fd, buffer);
    if (length > 0) return { fd, text: buffer.toString('utf8', 0, length) };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return { fd, text: '' };
  }
  closeSync(fd);
  return null;
}

/** `INSTANCE "NAME" STATE PRIORITY`; null for every other line. A change of priority alone names no state. */
export function parseFifoLine(line: string): VrrpEvent | null {
  const found = /^INSTANCE "([^"]{1,255})" ([A-Z_]{1,40}) (\d{1,3})$/.exec(line);
  if (found === null) return null;
  const [, instance = '', word = '', priority = ''] = found;
  const state = word === 'MASTER' || word === 'BACKUP' || word === 'FAULT' || word === 'STOP' ? word : '';
  return { instance, state, priority: Number(priority) };
}
