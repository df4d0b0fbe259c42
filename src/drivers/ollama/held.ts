// One idle TCP connection to Ollama. The kernel closes it with the process, so a death is seen within milliseconds and
// without polling. After a close the next connect is tried at once: refused means that nobody listens any more.
import { connect, type Socket } from 'node:net';
import type { OwnPorts } from './own-ports.ts';

/** Where Ollama listens. */
export type Endpoint = { readonly host: string; readonly port: number };

/** What the held connection tells. */
export type HeldFact = { readonly k: 'up' } | { readonly k: 'down' } | { readonly k: 'connect'; readonly result: ConnectResult };

/** How a fresh connect ended. */
export type ConnectResult = 'ok' | 'refused' | 'timeout' | 'error';

/** Pause between tries while nobody listens, ms. */
const RETRY_MS = 100;

/** Opens the connection and keeps opening it until closed. `tell` must not throw. */
export function holdConnection(options: {
  readonly to: Endpoint;
  readonly timeoutMs: number;
  readonly tell: (fact: HeldFact) => void;
  /** Takes its local port while it is open. */
  readonly own?: OwnPorts;
}): {
  close(): void;
} {
  const { to, timeoutMs, tell } = options;
  let socket: Socket | null = null;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  function open(): void {
    const mine = connect({ host: to.host, port: to.port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 5_000 });
    let result: ConnectResult = 'error';
    socket = mine;
    const late = setTimeout(() => {
      result = 'timeout';
      mine.destroy();
    }, timeoutMs);
    mine.once('connect', () => {
      clearTimeout(late);
      result = 'ok';
      const port = mine.localPort;
      if (port !== undefined) {
        options.own?.add(port);
        mine.once('close', () => options.own?.delete(port));
      }
      tell({ k: 'connect', result: 'ok' });
      tell({ k: 'up' });
    });
    mine.on('error', (error) => {
      if (result !== 'ok' && result !== 'timeout') result = isRefusal(error) ? 'refused' : 'error';
    });
    // Ollama says nothing on a silent connection; read anyway, or its end would not be seen.
    mine.resume();
    mine.once('close', () => {
      clearTimeout(late);
      if (!closed) next(result);
    });
  }

  function next(result: ConnectResult): void {
    if (result === 'ok') {
      tell({ k: 'down' });
      open();
      return;
    }
    tell({ k: 'connect', result });
    timer = setTimeout(open, RETRY_MS);
  }

  open();
  return {
    close(): void {
      closed = true;
      clearTimeout(timer);
      socket?.destroy();
    },
  };
}

function isRefusal(error: Error): boolean {
  const each = error instanceof AggregateError ? error.errors : [error];
  return each.length > 0 && each.every((e) => e instanceof Error && 'code' in e && e.code === 'ECONNREFUSED');
}
