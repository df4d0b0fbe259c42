// Blobs between agents: the bytes on the wire. One TLS 1.3 connection, both sides with certificates; numbers are big endian.
//
//   request   u32 49 | u8 1 (GET) | 32 bytes SHA-256 | u64 offset | u64 length
//   head      u32 17 | u8 status  | u64 size of the blob | u64 number of bytes that follow
//   body      the bytes, nothing between them
//
// Requests are answered in order. A blob is named by the 32 bytes of its digest: no request can name anything else. A malformed request ends
// the connection. The receiver trusts nothing but the digest: size and content are checked on its side.
import type { Sha256 } from '../../core/replication/types.ts';

/** A range of one blob. */
export type BlobRequest = { readonly digest: Sha256; readonly offset: number; readonly length: number };

/** What the server says before the bytes. `absent` = not here, or not verified here. */
export type ReplyStatus = 'ok' | 'absent' | 'range';

/** The head of a reply. `length` bytes follow. */
export type ReplyHead = { readonly status: ReplyStatus; readonly sizeBytes: number; readonly length: number };

/** Bytes of one request. */
export const REQUEST_BYTES = 53;
/** Bytes of a reply's head. */
export const HEAD_BYTES = 21;

const GET = 1;
const STATUSES: readonly ReplyStatus[] = ['ok', 'absent', 'range'];

/** A request as bytes. */
export function encodeRequest(request: BlobRequest): Buffer {
  const bytes = Buffer.alloc(REQUEST_BYTES);
  bytes.writeUInt32BE(REQUEST_BYTES - 4, 0);
  bytes.writeUInt8(GET, 4);
  bytes.write(request.digest, 5, 'hex');
  bytes.writeBigUInt64BE(BigInt(request.offset), 37);
  bytes.writeBigUInt64BE(BigInt(request.length), 45);
  return bytes;
}

/** Reads exactly REQUEST_BYTES; null = malformed. */
export function decodeRequest(bytes: Buffer): BlobRequest | null {
  if (bytes.length !== REQUEST_BYTES || bytes.readUInt32BE(0) !== REQUEST_BYTES - 4 || bytes.readUInt8(4) !== GET) return null;
  const offset = Number(bytes.readBigUInt64BE(37));
  const length = Number(bytes.readBigUInt64BE(45));
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || !Number.isSafeInteger(offset + length)) return null;
  return { digest: bytes.toString('hex', 5, 37), offset, length };
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
