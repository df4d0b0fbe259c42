// Small blobs, straight from memory to their parts, over one connection and one right behind the other: a model may have thousands, and what is
// done for each counts more than its bytes. Whatever is not plain success is left to receive-blob.ts, which tries all sources, blames, and
// explains.
import { hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { fileKeyOf } from '../../core/replication/names.ts';
import type { Connection } from './connection.ts';
import type { Limit } from './limit.ts';
import type { Peer, ReceiveOrder, ReceiveOutcome } from './messages.ts';
import type { ReplyHead } from './protocol.ts';
import { throttledBody } from './throttle.ts';

/** Blobs up to this size are received so. */
export const IN_MEMORY_BYTES = 256 * 1024;

/** Receives from the first source; null when that was no success, and then no part was written. Rejects with what the disk throws. */
export type ReceiveSmall = (order: ReceiveOrder, signal: AbortSignal) => Promise<ReceiveOutcome | null>;

const OPEN = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const MODE = 0o600;
/** Blobs are written as soon as they are whole, so hardly ever is more than one in memory. */
const SPARE_MAX = 4;

/** `connect` gives the connection that all small blobs of a peer share. */
export function openReceiveSmall(args: { readonly connect: (peer: Peer) => Promise<Connection>; readonly limit: Limit }): ReceiveSmall {
  const spare: Buffer[] = [];
  const buffers: Buffers = {
    take: () => spare.pop() ?? Buffer.allocUnsafeSlow(IN_MEMORY_BYTES),
    give: (buffer) => {
      if (spare.length < SPARE_MAX) spare.push(buffer);
    },
  };
  return async (order, signal) => {
    const [source] = order.sources;
    if (source === undefined || order.sizeBytes === 0) return null;
    const memory = openMemory(order.sizeBytes, buffers);
    try {
      if (!(await fill(memory, source, order, { ...args, signal }))) return null;
      return put(order, memory.bytes(), source);
    } finally {
      memory.free();
    }
  };
}

type Buffers = { readonly take: () => Buffer; readonly give: (buffer: Buffer) => void };
type Memory = ReturnType<typeof openMemory>;

/** A buffer from the first byte on, not before: many answers may be awaited. */
function openMemory(sizeBytes: number, buffers: Buffers) {
  let buffer: Buffer | null = null;
  let filled = 0;
  const whole = (): Buffer => {
    buffer ??= buffers.take();
    return buffer.subarray(0, sizeBytes);
  };
  return {
    room: () => whole().subarray(filled),
    took: (count: number) => {
      filled += count;
      return true;
    },
    ready: () => Promise.resolve(),
    bytes: () => whole().subarray(0, filled),
    free: () => {
      if (buffer !== null) buffers.give(buffer);
      buffer = null;
    },
  };
}

/** True when all bytes of the blob are in memory. */
async function fill(
  memory: Memory,
  source: Peer,
  order: ReceiveOrder,
  args: { readonly connect: (peer: Peer) => Promise<Connection>; readonly limit: Limit; readonly signal: AbortSignal },
): Promise<boolean> {
  const { digest, sizeBytes } = order;
  let connection: Connection | null = null;
  const body = throttledBody({ intake: memory, limit: args.limit, resume: () => connection?.resume(), took: () => undefined });
  try {
    connection = await args.connect(source);
    const fits = (head: ReplyHead) => head.sizeBytes === sizeBytes && head.length === sizeBytes;
    const request = { k: 'get', digest, offset: 0, length: sizeBytes } as const;
    return (await connection.get({ request, fits, body, signal: args.signal })).k === 'all';
  } catch {
    return false;
  }
}

/** Writes what has the digest. */
function put({ digest, file }: ReceiveOrder, bytes: Buffer, source: Peer): ReceiveOutcome | null {
  if (hash('sha256', bytes, 'hex') !== digest) return null;
  const fd = openSync(file, OPEN, MODE);
  try {
    if (!fstatSync(fd).isFile()) return null;
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    const key = fileKeyOf(fstatSync(fd, { bigint: true }));
    return { k: 'done', key, from: source.node, receivedBytes: bytes.length, blamed: [] };
  } finally {
    closeSync(fd);
  }
}
