// The host in numbers: memory, network, graphics cards, as /proc and /sys tell them. Read when asked; nothing runs in between.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Memory of the host, bytes. */
export type Memory = { readonly totalBytes: number; readonly availableBytes: number };

/** Totals of one network interface since boot. */
export type Interface = { readonly name: string; readonly receivedBytes: number; readonly sentBytes: number };

/** One graphics card as its kernel driver tells it (amdgpu); `busy` 0 to 1. */
export type Card = { readonly name: string; readonly busy: number; readonly usedBytes: number; readonly totalBytes: number };

const INTERFACES_MAX = 32;
const CARDS_MAX = 16;

/** Null where /proc is not readable. */
export async function readMemory(file = '/proc/meminfo'): Promise<Memory | null> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const kib = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? Number.NaN) * 1024;
  const memory = { totalBytes: kib('MemTotal'), availableBytes: kib('MemAvailable') };
  return Number.isFinite(memory.totalBytes) && Number.isFinite(memory.availableBytes) && memory.totalBytes > 0 ? memory : null;
}

/** Every interface but loopback. */
export async function readInterfaces(file = '/proc/net/dev'): Promise<readonly Interface[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .flatMap((line): Interface[] => {
      const found = /^\s*([^\s:]+):\s*(.*)$/.exec(line);
      const numbers = found?.[2]?.trim().split(/\s+/).map(Number) ?? [];
      const [receivedBytes, sentBytes] = [numbers[0], numbers[8]];
      if (found?.[1] === undefined || found[1] === 'lo' || receivedBytes === undefined || sentBytes === undefined) return [];
      return Number.isFinite(receivedBytes) && Number.isFinite(sentBytes) ? [{ name: found[1], receivedBytes, sentBytes }] : [];
    })
    .slice(0, INTERFACES_MAX);
}

/** Cards whose driver publishes its numbers in /sys; others are known by the probe of health, or not at all. */
export async function readCards(root = '/sys/class/drm'): Promise<readonly Card[]> {
  const names = (await readdir(root).catch(() => [])).filter((name) => /^card\d+$/.test(name)).slice(0, CARDS_MAX);
  const cards = await Promise.all(
    names.map(async (name): Promise<Card | null> => {
      const number = async (file: string) => Number((await readFile(join(root, name, 'device', file), 'utf8').catch(() => 'none')).trim());
      const [percent, usedBytes, totalBytes] = await Promise.all([
        number('gpu_busy_percent'),
        number('mem_info_vram_used'),
        number('mem_info_vram_total'),
      ]);
      return [percent, usedBytes, totalBytes].every(Number.isFinite) ? { name, busy: percent / 100, usedBytes, totalBytes } : null;
    }),
  );
  return cards.flatMap((card) => (card === null ? [] : [card]));
}
