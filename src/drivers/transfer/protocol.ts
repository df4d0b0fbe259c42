// Blobs between agents: the bytes on the wire. One TLS 1.3 connection, both sides with certificates; numbers are big endian.
//
//   request   u32 49 | u8 kind   | 32 bytes SHA-256 | u64 a | u64 b
//   head      u32 17 | u8 status | u64 size of the blob | u64 number of bytes that follow
//   body      the bytes, nothing between them
//
//   kind 1 GET      a = offset, b = length         the bytes
//   kind 2 HASHES   a = first chunk, b = count     SHA-256 of each chunk, 32 bytes each; only of a node that holds the whole blob
//   kind 3 HAVE     a = b = 0                      nothing = the whole blob, else one bit per chunk that may be had, lowest bit first,
//                                                  and then as many bits for those that the node has asked of others
//
// A chunk is CHUNK_BYTES of a blob, the last one less. Requests are answered in order; a client may send the next ones before an answer is
// complete. A blob is named by the 32 bytes of its digest: no request can name anything else. A malformed request ends the connection. The
// receiver trusts nothing but the digest: size and content are checked on its side.
import type { Sha256 } from '../../core/replication/types.ts';

/** What may be asked of a blob; see above. */
export type BlobRequest =
  | { readonly k: 'get'; readonly digest: Sha256; readonly offset: number; readonly length: number }
  | { readonly k: 'hashes'; readonly digest: Sha256; readonly first: number; readonly count: number }
  | { readonly k: 'have'; readonly digest: Sha256 };

/** What the server says before the bytes. `absent` = not here, or not verified here. */
export type ReplyStatus = 'ok' | 'absent' | 'range';

/** The head of a reply. `length` bytes follow. */
export type ReplyHead = { readonly status: ReplyStatus; readonly sizeBytes: number; readonly length: number };

/** Bytes of one request. */
export const REQUEST_BYTES = 53;
/** Bytes of a reply's head. */
export const HEAD_BYTES = 21;
/** What is hashed, and shared between nodes that do not have the whole yet. */
export const CHUNK_BYTES = 4 * 1024 * 1024;
/** Bytes of a chunk's hash. */
export const HASH_BYTES = 32;
/** Chunk hashes in one request at most: the server has to read so many chunks. */
export const HASHES_MAX = 16;

const KINDS = { get: 1, hashes: 2, have: 3 } as const;
const STATUSES: readonly ReplyStatus[] = ['ok', 'absent', 'range'];

/** Number of chunks of a blob. */
export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / CHUNK_BYTES);
}

/** Length of one chunk of a blob. */
export function chunkLength(sizeBytes: number, chunk: number): number {
  return Math.min(CHUNK_BYTES, sizeBytes - chunk * CHUNK_BYTES);
}

/** Whether a bit of a HAVE answer is set. */
export function hasBit(bits: Uint8Array, chunk: number): boolean {
  return ((bits[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0;
}

/** A request as bytes. */
export function encodeRequest(request: BlobRequest): Buffer {
  const bytes = Buffer.alloc(REQUEST_BYTES);
  const [a, b] = argumentsOf(request);
  bytes.writeUInt32BE(REQUEST_BYTES - 4, 0);
  bytes.writeUInt8(KINDS[request.k], 4);
  bytes.write(request.digest, 5, 'hex');
  bytes.writeBigUInt64BE(BigInt(a), 37);
  bytes.writeBigUInt64BE(BigInt(b), 45);
  return bytes;
}

function argumentsOf(request: BlobRequest): readonly [number, number] {
  if (request.k === 'get') return [request.offset, request.length];
  return request.k === 'hashes' ? [request.first, request.count] : [0, 0];
}

/** Reads exactly REQUEST_BYTES; null = malformed. */
export function decodeRequest(bytes: Buffer): BlobRequest | null {
  if (bytes.length !== REQUEST_BYTES || bytes.readUInt32BE(0) !== REQUEST_BYTES - 4) return null;
  const digest = bytes.toString('hex', 5, 37);
  const a = Number(bytes.readBigUInt64BE(37));
  const b = Number(bytes.readBigUInt64BE(45));
  if (!Number.isSafeInteger(a) || !Number.isSafeInteger(b) || !Number.isSafeInteger(a + b)) return null;
  switch (bytes.readUInt8(4)) {
    case KINDS.get:
      return { k: 'get', digest, offset: a, length: b };
    case KINDS.hashes:
      return b < 1 || b > HASHES_MAX ? null : { k: 'hashes', digest, first: a, count: b };
    case KINDS.have:
      return a === 0 && b === 0 ? { k: 'have', digest } : null;
    default:
      return null;
  }
}

/** A reply's head as bytes. */
export function encodeHead(head: ReplyHead): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES);
  bytes.writeUInt32BE(HEAD_BYTES - 4, 0);
  bytes.writeUInt8(STATUSES.indexOf(head.status), 4);
  bytes.writeBigUInt64BE(BigInt(head.sizeBytes), 5);
  bytes.writeBigUInt64BE(BigInt(head.length), 13);
  return bytes;
}

/** Reads exactly HEAD_BYTES; null = malformed. */
export function decodeHead(bytes: Buffer): ReplyHead | null {
  if (bytes.length !== HEAD_BYTES || bytes.readUInt32BE(0) !== HEAD_BYTES - 4) return null;
  const status = STATUSES[bytes.readUInt8(4)];
  const sizeBytes = Number(bytes.readBigUInt64BE(5));
  const length = Number(bytes.readBigUInt64BE(13));
  return status === undefined || !Number.isSafeInteger(sizeBytes) || !Number.isSafeInteger(length) ? null : { status, sizeBytes, length };
}
