// Keeps one `ss -K` started, up to the point where it waits for the end of its input: a reset then costs a netlink dump, not the start of a
// program (which took 13-40 ms on a busy host, in the middle of every hand-over).
//
// Its filter stands whole in its arguments; `-F -` only makes it read on from its input before it acts. So the end of the input sets it off,
// and that comes by itself when this process dies: connections of the address are then reset while address and fence can still send it.
import { type ChildProcess, spawn } from 'node:child_process';
import { filterOf, type KillOutcome, killSockets } from './sockets.ts';

/** Resets the connections of fixed addresses, again and again. */
export type SocketKiller = {
  /** Resets every TCP connection whose local address is one of them; never rejects, and takes `limitMs` at most. */
  kill(limitMs?: number): Promise<KillOutcome>;
  /** Ends it without a reset. */
  close(): void;
};

const RESPAWN_MS = 1000;

/** Opens it for `addresses` (no prefix lengths). `program` is `ss`. */
export function openSocketKiller(addresses: readonly string[], program = 'ss'): SocketKiller {
  let closed = false;
  let waiting: ChildProcess | null = null;
  let respawn: NodeJS.Timeout | undefined;

  function start(): void {
    const child = spawn(program, ['-KHtn', '-F', '-', ...filterOf(addresses)], { stdio: ['pipe', 'ignore', 'pipe'] });
    waiting = child;
    child.stdin?.on('error', () => {});
    child
      .on('error', () => {})
      .on('close', () => {
        // It ended unasked: not again at once, it may never work here.
        if (waiting !== child) return;
        waiting = null;
        later();
      });
  }

  function later(): void {
    clearTimeout(respawn);
    if (!closed) respawn = setTimeout(start, RESPAWN_MS);
  }
  start();

  return {
    async kill(limitMs = 150) {
      const child = waiting;
      waiting = null;
      if (child === null) return killSockets(addresses, limitMs);
      const outcome = await setOff(child, limitMs);
      // Nobody waits for the next one; its start must not compete with the hand-over.
      later();
      return outcome;
    },
    close() {
      closed = true;
      clearTimeout(respawn);
      waiting?.kill('SIGKILL');
      waiting = null;
    },
  };
}

function setOff(child: ChildProcess, limitMs: number): Promise<KillOutcome> {
  return new Promise((resolve) => {
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(0, 4096);
    });
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      resolve({ ok: false, why: `ss did not end within ${limitMs} ms` });
    }, limitMs);
    child.once('exit', (code) => {
      clearTimeout(timer);
      resolve(code === 0 ? { ok: true } : { ok: false, why: said.split('\n')[0] || `ss ended with ${code}` });
    });
    child.stdin?.end();
  });
}
