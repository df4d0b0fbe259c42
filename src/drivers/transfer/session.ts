// One connection of the serving thread: its requests, answered in order from verified blobs and from the verified chunks of blobs on their way.
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setImmediate as otherWork } from 'node:timers/promises';
import { blobName, fileKeyOf } from '../../core/replication/names.ts';
import type { Sha256 } from '../../core/replication/types.ts';
import type { SharedPart } from './messages.ts';
import {
  type BlobRequest,
  CHUNK_BYTES,
  chunkCount,
  chunkLength,
  decodeRequest,
  encodeHead,
  HASH_BYTES,
  HEAD_BYTES,
  hasBit,
  REQUEST_BYTES,
} from './protocol.ts';

/** What the serving thread may hand out. */
export type Shop = {
  readonly root: string;
  /** Verified blobs, with the key of the verified file. */
  readonly offers: Map<Sha256, string>;
  /** Blobs on their way here. */
  readonly parts: Map<Sha256, SharedPart>;
  /** Hashes of chunks that somebody asked for, oldest blob first. */
  readonly hashes: Map<Sha256, ChunkHashes>;
  readonly buffers: Buffer[];
};

type ChunkHashes = { readonly key: string; readonly known: Map<number, Buffer> };
type Opened = { readonly handle: FileHandle; readonly sizeBytes: number };

/** Small enough to be encrypted while it is still in the processor's cache. */
const READ_BYTES = 128 * 1024;
/** Buffers of one answer: one is read while two are on their way. */
const BUFFERS = 3;
const BUFFERS_MAX = 48;
/** Small answers of one connection on their way at once. */
const SMALL_SENDING = 4;
const HASHED_BLOBS_MAX = 32;
const PARTS_MAX = 64;

/** An empty shop. */
export function openShop(root: string): Shop {
  return { root, offers: new Map(), parts: new Map(), hashes: new Map(), buffers: [] };
}

/** Begins or ends sharing a blob that is on its way. */
export function shareBlob(shop: Shop, digest: Sha256, part: SharedPart | null): void {
  shop.parts.delete(digest);
  if (part === null || shop.offers.has(digest)) return;
  shop.parts.set(digest, part);
  const [oldest] = shop.parts.keys();
  if (shop.parts.size > PARTS_MAX && oldest !== undefined) shop.parts.delete(oldest);
}

/** Answers one connection's requests in order. Reading stops while an answer is sent, so a client cannot pile up work. */
export async function session(shop: Shop, socket: Socket): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  const sending: Promise<void>[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= REQUEST_BYTES) {
      const request = decodeRequest(rest.subarray(0, REQUEST_BYTES));
      if (request === null) return void socket.destroy();
      rest = rest.subarray(REQUEST_BYTES);
      const small = request.k === 'get' ? readSmall(shop, request) : null;
      if (small === null) await answer(shop, socket, request);
      else if (sending.push(sendSmall(shop, socket, small)) > SMALL_SENDING) await sending.shift();
    }
  }
  socket.end();
}

type Small = { readonly buffer: Buffer; readonly length: number };

/** A whole answer of a verified blob that fits one buffer, head and all; the calls block. Null = anything else. */
function readSmall(shop: Shop, request: BlobRequest & { readonly k: 'get' }): Small | null {
  const { digest, offset, length } = request;
  const key = shop.offers.get(digest);
  if (key === undefined || length > READ_BYTES - HEAD_BYTES) return null;
  const fd = openOrNull(join(shop.root, 'blobs', blobName(digest)));
  if (fd === null) return null;
  try {
    const stat = fstatSync(fd, { bigint: true });
    const sizeBytes = Number(stat.size);
    if (!stat.isFile() || fileKeyOf(stat) !== key || offset + length > sizeBytes) return null;
    const buffer = shop.buffers.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES);
    buffer.set(encodeHead({ status: 'ok', sizeBytes, length }));
    for (let done = 0; done < length; ) {
      const bytesRead = readSync(fd, buffer, HEAD_BYTES + done, length - done, offset + done);
      if (bytesRead === 0) throw new Error('the blob became shorter');
      done += bytesRead;
    }
    return { buffer, length: HEAD_BYTES + length };
  } finally {
    closeSync(fd);
  }
}

function openOrNull(file: string): number | null {
  try {
    return openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
}

function sendSmall(shop: Shop, socket: Socket, { buffer, length }: Small): Promise<void> {
  const sent = write(socket, buffer.subarray(0, length)).then(() => {
    if (shop.buffers.length < BUFFERS_MAX) shop.buffers.push(buffer);
  });
  sent.catch(() => undefined);
  return sent;
}

async function answer(shop: Shop, socket: Socket, request: BlobRequest): Promise<void> {
  if (request.k === 'have') return answerHave(shop, socket, request.digest);
  const opened = await openOffered(shop, request.digest);
  if (opened === null && request.k === 'get') return answerFromPart(shop, socket, request);
  if (opened === null) return refuse(socket, 'absent', 0);
  try {
    if (request.k === 'get') await sendRange(shop, socket, opened, request);
    else await sendHashes(shop, socket, opened, request);
  } finally {
    await opened.handle.close();
  }
}

async function answerHave(shop: Shop, socket: Socket, digest: Sha256): Promise<void> {
  const opened = await openOffered(shop, digest);
  await opened?.handle.close();
  if (opened !== null) return write(socket, encodeHead({ status: 'ok', sizeBytes: opened.sizeBytes, length: 0 }));
  const part = shop.parts.get(digest);
  if (part === undefined) return refuse(socket, 'absent', 0);
  const bits = Buffer.concat([new Uint8Array(part.have), new Uint8Array(part.coming)]);
  await write(socket, Buffer.concat([encodeHead({ status: 'ok', sizeBytes: part.sizeBytes, length: bits.length }), bits]));
}

/** Only what is verified of it, chunk by chunk. */
async function answerFromPart(shop: Shop, socket: Socket, request: BlobRequest & { readonly k: 'get' }): Promise<void> {
  const part = shop.parts.get(request.digest);
  if (part === undefined || !covers(part, request.offset, request.length)) return refuse(socket, 'absent', 0);
  const handle = await openFile(part.file);
  if (handle === null) return refuse(socket, 'absent', 0);
  try {
    const { ino } = await handle.stat({ bigint: true });
    if (String(ino) !== part.inode) return await refuse(socket, 'absent', 0);
    await sendRange(shop, socket, { handle, sizeBytes: part.sizeBytes }, request);
  } finally {
    await handle.close();
  }
}

function covers(part: SharedPart, offset: number, length: number): boolean {
  if (length === 0 || offset + length > part.sizeBytes) return false;
  const bits = new Uint8Array(part.have);
  const last = Math.floor((offset + length - 1) / CHUNK_BYTES);
  for (let chunk = Math.floor(offset / CHUNK_BYTES); chunk <= last; chunk += 1) {
    if (!hasBit(bits, chunk)) return false;
  }
  return true;
}

/** The blob's file, if it still is the one that was verified. */
async function openOffered(shop: Shop, digest: Sha256): Promise<Opened | null> {
  const key = shop.offers.get(digest);
  if (key === undefined) return null;
  const handle = await openFile(join(shop.root, 'blobs', blobName(digest)));
  if (handle === null) return null;
  const stat = await handle.stat({ bigint: true });
  if (stat.isFile() && fileKeyOf(stat) === key) return { handle, sizeBytes: Number(stat.size) };
  await handle.close();
  return null;
}

function openFile(file: string): Promise<FileHandle | null> {
  return open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => null);
}

/** Reads ahead by one buffer while the last ones are on their way. The reads block: this thread has nothing else to do. */
async function sendRange(shop: Shop, socket: Socket, opened: Opened, request: { readonly offset: number; readonly length: number }) {
  const { handle, sizeBytes } = opened;
  const { offset, length } = request;
  if (offset + length > sizeBytes) return refuse(socket, 'range', sizeBytes);
  const ring = Array.from({ length: BUFFERS }, () => shop.buffers.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES));
  const sending = [write(socket, encodeHead({ status: 'ok', sizeBytes, length }))];
  for (let done = 0, turn = 0; done < length; turn += 1) {
    if (sending.length === BUFFERS) await sending.shift();
    const buffer = ring[turn % BUFFERS] ?? Buffer.allocUnsafeSlow(READ_BYTES);
    const bytesRead = readSync(handle.fd, buffer, 0, Math.min(READ_BYTES, length - done), offset + done);
    // The file shrank under us: nothing valid can follow, so the connection ends.
    if (bytesRead === 0) throw new Error('the blob became shorter');
    sending.push(write(socket, buffer.subarray(0, bytesRead)));
    done += bytesRead;
  }
  await Promise.all(sending);
  if (shop.buffers.length < BUFFERS_MAX) shop.buffers.push(...ring);
}

async function sendHashes(
  shop: Shop,
  socket: Socket,
  opened: Opened,
  request: { readonly digest: Sha256; readonly first: number; readonly count: number },
): Promise<void> {
  const { digest, first, count } = request;
  const { handle, sizeBytes } = opened;
  if (first + count > chunkCount(sizeBytes)) return refuse(socket, 'range', sizeBytes);
  const known = knownHashes(shop, digest);
  const hashes: Buffer[] = [];
  for (let chunk = first; chunk < first + count; chunk += 1) {
    const hash = known.get(chunk) ?? hashChunk(shop, handle, sizeBytes, chunk);
    known.set(chunk, hash);
    hashes.push(hash);
    await otherWork();
  }
  await write(socket, Buffer.concat([encodeHead({ status: 'ok', sizeBytes, length: count * HASH_BYTES }), ...hashes]));
}

function knownHashes(shop: Shop, digest: Sha256): Map<number, Buffer> {
  const key = shop.offers.get(digest) ?? '';
  const entry = shop.hashes.get(digest);
  shop.hashes.delete(digest);
  const kept = entry?.key === key ? entry : { key, known: new Map<number, Buffer>() };
  shop.hashes.set(digest, kept);
  const [oldest] = shop.hashes.keys();
  if (shop.hashes.size > HASHED_BLOBS_MAX && oldest !== undefined) shop.hashes.delete(oldest);
  return kept.known;
}

function hashChunk(shop: Shop, handle: FileHandle, sizeBytes: number, chunk: number): Buffer {
  const hash = createHash('sha256');
  const buffer = shop.buffers.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES);
  const length = chunkLength(sizeBytes, chunk);
  for (let done = 0; done < length; ) {
    const n = readSync(handle.fd, buffer, 0, Math.min(READ_BYTES, length - done), chunk * CHUNK_BYTES + done);
    if (n === 0) throw new Error('the blob became shorter');
    hash.update(buffer.subarray(0, n));
    done += n;
  }
  shop.buffers.push(buffer);
  return hash.digest();
}

function refuse(socket: Socket, status: 'absent' | 'range', sizeBytes: number): Promise<void> {
  return write(socket, encodeHead({ status, sizeBytes, length: 0 }));
}

/** May be awaited later: a connection that breaks meanwhile must not count as an unhandled rejection and end the thread. */
function write(socket: Socket, bytes: Buffer): Promise<void> {
  const written = new Promise<void>((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
  written.catch(() => undefined);
  return written;
}
