// How many connections users hold to a local port, by `ss`. Needs no capability.
import { execFile } from 'node:child_process';

/**
 * Established TCP connections to `port` at the local `address` ('' = any but loopback). An idle keep-alive connection counts too. Null when `ss`
 * failed, or did not end within `limitMs`. Never rejects.
 */
export function countConnections(at: {
  readonly address: string;
  readonly port: number;
  readonly limitMs?: number;
}): Promise<number | null> {
  const local = at.address === '' ? ['not', 'src', '127.0.0.0/8', 'and', 'not', 'src', '[::1]'] : ['src', at.address];
  const argv = ['-Htn', 'state', 'established', ...local, 'and', 'sport', '=', `:${at.port}`];
  return new Promise((resolve) => {
    execFile('ss', argv, { timeout: at.limitMs ?? 500, killSignal: 'SIGKILL', maxBuffer: 16 * 1024 * 1024 }, (error, out) => {
      resolve(error === null ? out.split('\n').filter((line) => line.trim() !== '').length : null);
    });
  });
}
