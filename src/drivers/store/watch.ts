// Watches directories with one-shot watches: the first event closes a watch and asks for a scan, the scan arms it again before it reads.
// So nothing between two scans is lost, and a pull that writes thousands of times a second costs one event per scan.
import { type FSWatcher, watch } from 'node:fs';

/** Armed watches. `arm` is cheap for a directory that is armed already. */
export type Watches = { readonly arm: (dir: string) => void; readonly close: () => void };

/** The kernel's own default for one user is 8,192 or more; beyond this number the slow scan has to do. */
const WATCHES_MAX = 5000;

/** `onEvent` gets the directory and the name that changed; `onLost` is told once when watches cannot be had. */
export function openWatches(onEvent: (dir: string, name: string) => void, onLost: (reason: string) => void): Watches {
  const armed = new Map<string, FSWatcher>();
  let lost = false;
  const lose = (reason: string) => {
    if (!lost) onLost(reason);
    lost = true;
  };
  const disarm = (dir: string) => {
    armed.get(dir)?.close();
    armed.delete(dir);
  };
  const arm = (dir: string) => {
    if (armed.has(dir)) return;
    if (armed.size >= WATCHES_MAX) return lose(`more than ${WATCHES_MAX} directories`);
    try {
      const watcher = watch(dir, (_event, name) => {
        disarm(dir);
        onEvent(dir, name ?? '');
      });
      watcher.on('error', () => disarm(dir));
      armed.set(dir, watcher);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
      if (code !== 'ENOENT' && code !== 'ENOTDIR') lose(code);
    }
  };
  return { arm, close: () => [...armed.keys()].forEach(disarm) };
}
