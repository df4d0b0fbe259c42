// One long-lived `ip -batch -`: a change of an address costs its own millisecond, not the start of a program. It tells nothing of how a change
// went; whoever needs to know looks at the kernel's table.
import { type ChildProcess, spawn } from 'node:child_process';

/** The session. */
export type IpSession = {
  /** Hands lines over, in order; false = there is no session now, and nothing was done. */
  write(lines: readonly string[]): boolean;
  close(): void;
};

const RESPAWN_MS = 500;

/** Opens it; after its end it is started again. */
export function openIpSession(program = 'ip'): IpSession {
  let closed = false;
  let child: ChildProcess | null = null;
  let respawn: NodeJS.Timeout | undefined;

  function start(): void {
    // -force: a line that fails, an address that is there already, ends nothing.
    const fresh = spawn(program, ['-force', '-batch', '-'], { stdio: ['pipe', 'ignore', 'ignore'] });
    child = fresh;
    fresh.stdin?.on('error', () => {});
    fresh
      .on('error', () => {})
      .on('close', () => {
        child = null;
        if (!closed) respawn = setTimeout(start, RESPAWN_MS);
      });
  }
  start();

  return {
    write(lines) {
      if (child?.stdin?.writable !== true) return false;
      child.stdin.write(`${lines.join('\n')}\n`);
      return true;
    },
    close() {
      closed = true;
      clearTimeout(respawn);
      child?.kill('SIGKILL');
    },
  };
}
