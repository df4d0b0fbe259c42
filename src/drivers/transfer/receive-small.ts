// One small blob, straight from memory to its part: a model may have thousands, and what is done for each counts more than its bytes. Whatever
// is not plain success is left to receive-blob.ts, which tries all sources, blames, and explains.
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { fileKeyOf } from '../../core/replication/names.ts';
import type { Connection } from './connection.ts';
import type { Peer, ReceiveOrder, ReceiveOutcome } from './messages.ts';
import type { ReplyHead } from './protocol.ts';
import type { ReceiveContext } from './receive-blob.ts';
import { throttledBody } from './throttle.ts';

/** Blobs up to this size are received so. */
export const IN_MEMORY_BYTES = 256 * 1024;

const OPEN = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const MODE = 0o600;

/** Receives from the first source; null when that was no success, and then no part was written. Throws what the disk throws. */
export async function receiveSmall(order: ReceiveOrder, context: ReceiveContext, signal: AbortSignal): Promise<ReceiveOutcome | null> {
  const [source] = order.sources;
  if (source === undefined || order.sizeBytes === 0) return null;
  const bytes = await bytesFrom(source, order, context, signal);
  if (bytes === null || createHash('sha256').update(bytes).digest('hex') !== order.digest) return null;
  const fd = openSync(order.file, OPEN, MODE);
  try {
    if (!fstatSync(fd).isFile()) return null;
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    const key = fileKeyOf(fstatSync(fd, { bigint: true }));
    return { k: 'done', key, from: source.node, receivedBytes: bytes.length, blamed: [] };
  } finally {
    closeSync(fd);
  }
}

async function bytesFrom(source: Peer, order: ReceiveOrder, context: ReceiveContext, signal: AbortSignal): Promise<Buffer | null> {
  const { digest, sizeBytes } = order;
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  let filled = 0;
  let connection: Connection | null = null;
  const memory = {
    room: () => bytes.subarray(filled),
    took: (count: number) => {
      filled += count;
      return true;
    },
    ready: () => Promise.resolve(),
  };
  const body = throttledBody({ intake: memory, limit: context.limit, resume: () => connection?.resume(), took: () => undefined });
  try {
    connection = await context.lend(source, signal);
    const fits = (head: ReplyHead) => head.sizeBytes === sizeBytes && head.length === sizeBytes;
    const result = await connection.get({ request: { k: 'get', digest, offset: 0, length: sizeBytes }, fits, body, signal });
    context.giveBack(source, connection);
    return result.k === 'all' ? bytes : null;
  } catch {
    connection?.close();
    return null;
  }
}
