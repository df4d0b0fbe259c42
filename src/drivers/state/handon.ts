// handon.json: the lease on its way from an agent that restarts to the next one (core/lease/handon.ts). Taken by rename, so by one process only.
import { readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { z } from 'zod';
import type { HandOn } from '../../core/lease/handon.ts';

const count = z.int().nonnegative();
const runId = z.string().max(64);
// JSON has no -Infinity: null stands for "acts at once".
const handOn = z.strictObject({
  boot: count,
  epoch: count,
  validUntil: z.number(),
  actFrom: z.number().nullable(),
  redisAckAt: z.number(),
  lockDelayMs: z.number().nonnegative(),
  meta: z.string().max(16_384),
  roster: z.array(z.string().max(63)).max(256),
  trust: z.array(runId.nullable()).max(5),
  skew: z.strictObject({ boot: z.number(), wall: z.number() }),
  nonce: count,
});
const file = z.strictObject({ machine: z.string().max(64), key: z.string().max(4096), skipMs: z.number(), lease: handOn });

/** This boot of the machine: its monotonic clock counts from here. */
function machineBoot(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/**
 * Leaves the lease to the next process. `key` names what both must agree on; `skipMs`: for so long the stop hook leaves address and lease
 * alone (fence-local.ts). Throws what the file system throws.
 */
export function writeHandOn(runDir: string, key: string, skipMs: number, lease: HandOn): void {
  const actFrom = Number.isFinite(lease.actFrom) ? lease.actFrom : null;
  writeFileAtomic.sync(join(runDir, 'handon.json'), JSON.stringify({ machine: machineBoot(), key, skipMs, lease: { ...lease, actFrom } }), {
    mode: 0o640,
    fsync: false,
  });
}

/** Takes what was left, if it was left for a process like this one; null otherwise. What does not fit is removed and said. */
export function takeHandOn(runDir: string, key: string, log: (text: string) => void): HandOn | null {
  const left = join(runDir, 'handon.json');
  const taken = join(runDir, 'handon.taken.json');
  try {
    renameSync(left, taken);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') log(`hand-on: ${left}: ${(error as Error).message}`);
    return null;
  }
  try {
    const found = file.parse(JSON.parse(readFileSync(taken, 'utf8')));
    if (found.machine !== machineBoot()) throw new Error('it is of an earlier boot of this machine');
    if (found.key !== key) throw new Error('the timing or the Redis servers in the configuration have changed');
    return { ...found.lease, actFrom: found.lease.actFrom ?? Number.NEGATIVE_INFINITY };
  } catch (error) {
    log(`hand-on: ${left} is of no use, this process starts as a follower: ${(error as Error).message.slice(0, 500)}`);
    return null;
  } finally {
    rmSync(taken, { force: true });
  }
}
