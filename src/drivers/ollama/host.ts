// The host's means: disk of the store, memory, graphics cards. Files of /proc and /sys, and the cards' own tool where there is a card.
import { execFile } from 'node:child_process';
import { access, readdir, readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Evidence } from '../../core/health/types.ts';

const GPU_LIMIT_MS = 10_000;
const ERROR_MAX = 120;
const MEBIBYTE = 1_048_576;

/** Free space for the user that runs this, on the disk of `dir`; null when it cannot be told. */
export async function lookAtDisk(dir: string): Promise<Extract<Evidence, { k: 'disk' }> | null> {
  const fs = await statfs(dir).catch(() => null);
  return fs === null ? null : { k: 'disk', freeBytes: fs.bavail * fs.bsize, totalBytes: fs.blocks * fs.bsize };
}

/** Memory of the host, and how many processes the kernel has killed for want of it. */
export async function lookAtMemory(): Promise<Extract<Evidence, { k: 'memory' }> | null> {
  const [info, counters] = await Promise.all(['/proc/meminfo', '/proc/vmstat'].map((path) => readFile(path, 'latin1').catch(() => '')));
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(info ?? '')?.[1] ?? Number.NaN);
  const available = kilobytes('MemAvailable');
  if (!Number.isFinite(available)) return null;
  const kills = /^oom_kill (\d+)/m.exec(counters ?? '')?.[1];
  return {
    k: 'memory',
    availableBytes: available * 1024,
    totalBytes: kilobytes('MemTotal') * 1024,
    oomKills: kills === undefined ? null : Number(kills),
  };
}

/** All graphics cards together: NVIDIA's by `nvidia-smi`, AMD's by sysfs. Null = there is none. */
export async function lookAtCards(nvidia: readonly string[]): Promise<Extract<Evidence, { k: 'gpu' }> | null> {
  const hasNvidia = await access('/dev/nvidiactl').then(
    () => true,
    () => false,
  );
  return hasNvidia ? askNvidia(nvidia) : lookAtAmd('/sys/class/drm');
}

/** Runs the tool (`memory.used, memory.total` in MiB, a line for each card). Its failure is evidence. */
export function askNvidia(argv: readonly string[]): Promise<Extract<Evidence, { k: 'gpu' }>> {
  const [program = 'nvidia-smi', ...args] = argv;
  return new Promise((resolve) => {
    execFile(program, args, { timeout: GPU_LIMIT_MS, killSignal: 'SIGKILL', maxBuffer: 65_536 }, (error, out, err) => {
      if (error !== null) {
        const said = [...(err || out).split('\n'), error.message].find((line) => line.trim() !== '') ?? 'failed';
        const text = error.killed ? `gave no answer within ${GPU_LIMIT_MS / 1000} s` : said.trim();
        resolve({ k: 'gpu', error: `${program}: ${text}`.slice(0, ERROR_MAX), usedBytes: 0, totalBytes: 0 });
        return;
      }
      const cards = [...out.matchAll(/^\s*(\d+)\s*,\s*(\d+)\s*$/gm)];
      const sum = (column: 1 | 2): number => cards.reduce((total, card) => total + Number(card[column]) * MEBIBYTE, 0);
      const error_ = cards.length === 0 ? `${program} lists no card` : '';
      resolve({ k: 'gpu', error: error_, usedBytes: sum(1), totalBytes: sum(2) });
    });
  });
}

/** AMD's cards below a sysfs directory; null = none tells its memory. */
export async function lookAtAmd(root: string): Promise<Extract<Evidence, { k: 'gpu' }> | null> {
  const cards = (await readdir(root).catch(() => [])).filter((name) => /^card\d+$/.test(name));
  const read = async (card: string, file: string): Promise<number> =>
    Number((await readFile(join(root, card, 'device', file), 'latin1').catch(() => '')).trim() || Number.NaN);
  const found = await Promise.all(
    cards.map(async (card) => [await read(card, 'mem_info_vram_used'), await read(card, 'mem_info_vram_total')] as const),
  );
  const whole = found.filter(([used, total]) => Number.isFinite(used) && Number.isFinite(total));
  if (whole.length === 0) return null;
  const sum = (at: 0 | 1): number => whole.reduce((total, card) => total + card[at], 0);
  return { k: 'gpu', error: '', usedBytes: sum(0), totalBytes: sum(1) };
}
