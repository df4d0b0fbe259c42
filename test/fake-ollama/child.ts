// One llama-server process: started, waited for, asked for tokens, killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';

/** A runner process. `exited` settles with how it ended, in Go's words: `signal: killed`, `exit status 1`. */
export type Child = { readonly pid: number; readonly port: number; readonly exited: Promise<string>; kill(): void; isAlive(): boolean };

/** How a load ended. */
export type Loaded = 'ready' | { readonly exit: string };

let source: string | undefined;

/** Starts a runner on a free loopback port. `ready` settles when it has loaded or died. */
export async function startChild(options: {
  readonly model: string;
  readonly numCtx: number;
  readonly loadMs: number;
  /** How long it outlives a killed server, ms; 0 = for ever, as the real one does. */
  readonly orphanMs: number;
  /** It ends with status 1 where it would be ready. */
  readonly failsLoad: boolean;
}): Promise<{ readonly child: Child; readonly ready: Promise<Loaded> }> {
  const port = await freePort();
  source ??= readFileSync(new URL('./llama-server.ts', import.meta.url), 'utf8');
  const args = ['--model', options.model, '--port', String(port), '--ctx-size', String(options.numCtx)];
  const process_ = spawn(process.execPath, ['--max-semi-space-size=1', '--input-type=module', '-', ...args], {
    argv0: 'llama-server',
    stdio: ['pipe', 'pipe', 'ignore', 'pipe'],
    env: { FAKE_LOAD_MS: String(options.loadMs), FAKE_ORPHAN_MS: String(options.orphanMs), FAKE_LOAD_FAILS: options.failsLoad ? '1' : '' },
  });
  process_.stdin?.on('error', () => undefined);
  process_.stdin?.end(source);
  const exited = new Promise<string>((settle) => {
    process_.once('error', (error) => settle(error.message));
    process_.once('exit', (code, signal) => settle(signal === null ? `exit status ${code}` : `signal: ${signalWord(signal)}`));
  });
  const said = new Promise<Loaded>((settle) => {
    let out = '';
    process_.stdout?.on('data', (bytes) => {
      out += bytes;
      if (out.includes('ready')) settle('ready');
    });
  });
  const ready = Promise.race([said, exited.then((exit): Loaded => ({ exit }))]);
  return { child: childOf(process_, port, exited), ready };
}

function childOf(process_: ChildProcess, port: number, exited: Promise<string>): Child {
  let alive = true;
  void exited.then(() => {
    alive = false;
  });
  return { pid: process_.pid ?? 0, port, exited, kill: () => void process_.kill('SIGKILL'), isAlive: () => alive };
}

/** Asks /health; false when it is dead or silent for `timeoutMs`. */
export function ping(child: Child, timeoutMs: number): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect({ port: child.port, host: '127.0.0.1' });
    const late = setTimeout(() => socket.destroy(), timeoutMs);
    let ok = false;
    socket.on('connect', () => socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n'));
    socket.on('data', (bytes) => {
      ok ||= bytes.toString('latin1').startsWith('HTTP/1.1 200');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(late);
      settle(ok);
    });
  });
}

/** Yields once for each token; returns true when all came, false when the runner died before. Stops with the signal. */
export async function* tokensFrom(
  child: Child,
  ask: {
    readonly tokens: number;
    readonly firstMs: number;
    readonly gapMs: number;
    /** The runner falls silent after so many; null = it does not. */
    readonly stallAfter: number | null;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<void, boolean> {
  const socket = connect({ port: child.port, host: '127.0.0.1', signal: ask.signal, noDelay: true });
  socket.on('error', () => undefined);
  const stall = ask.stallAfter === null ? '' : `&stallAfter=${ask.stallAfter}`;
  socket.write(`GET /completion?tokens=${ask.tokens}&firstMs=${ask.firstMs}&gapMs=${ask.gapMs}${stall} HTTP/1.1\r\nHost: x\r\n\r\n`);
  let head = '';
  let got = 0;
  try {
    for await (const bytes of socket) {
      let count = bytes.length;
      if (!head.includes('\r\n\r\n')) {
        head += bytes.toString('latin1');
        count = head.includes('\r\n\r\n') ? head.length - head.indexOf('\r\n\r\n') - 4 : 0;
      }
      for (; count > 0 && got < ask.tokens; count--) {
        got += 1;
        yield;
      }
    }
  } catch {
    // A reset is a death like any other.
  } finally {
    socket.destroy();
  }
  return got >= ask.tokens;
}

function freePort(): Promise<number> {
  return new Promise((settle, fail) => {
    const probe = createServer();
    probe.once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => settle(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function signalWord(signal: string): string {
  const words: Record<string, string> = { SIGKILL: 'killed', SIGTERM: 'terminated', SIGSEGV: 'segmentation fault', SIGABRT: 'aborted' };
  return words[signal] ?? signal;
}
