// SIGHUP to the keepalived of this network namespace. It needs CAP_KILL or root; a MASTER survives it without a gap.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** False when there is no such process, or no permission. */
export function reloadKeepalived(): boolean {
  const found = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isOurs(name));
  // The parent passes it on to its children.
  const parents = found.filter((pid) => !found.includes(parentOf(pid)));
  try {
    return parents.length > 0 && parents.every((pid) => process.kill(Number(pid), 'SIGHUP'));
  } catch {
    return false;
  }
}

function isOurs(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'keepalived' && inOurNamespace(pid);
  } catch {
    return false;
  }
}

const PID_FILE = '/run/keepalived.pid';

/** The packaged agent may not look into root's processes; then it is the keepalived of the host, by its own pid file, or a child of it. */
function inOurNamespace(pid: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') return false;
    return [pid, parentOf(pid)].includes(readFileSync(PID_FILE, 'utf8').trim());
  }
}

function parentOf(pid: string): string {
  try {
    return /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
  } catch {
    return '';
  }
}
