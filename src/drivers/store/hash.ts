// Hashes one file, reading the next piece while the last one is hashed.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { fileKeyOf } from '../../core/replication/names.ts';

/** `moved` = the file changed under the reader; the hash says nothing. */
export type HashResult =
  | { readonly k: 'hashed'; readonly hex: string; readonly key: string }
  | { readonly k: 'moved' }
  | { readonly k: 'absent' };

/** Called with the bytes hashed so far; the next piece is read when it resolves. */
export type Rest = (bytes: number) => Promise<void> | void;

const noRest: Rest = () => undefined;
const PIECE_BYTES = 1024 * 1024;

/**
 * SHA-256 of a regular file, never through a link. The data is flushed first: a hash of pages that a power cut would lose must not be
 * remembered as the hash of the file.
 */
export async function hashFile(file: string, signal: AbortSignal, rest: Rest = noRest): Promise<HashResult> {
  let handle: FileHandle;
  try {
    handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return { k: 'absent' };
  }
  try {
    const before = await handle.stat({ bigint: true });
    if (!before.isFile()) return { k: 'absent' };
    await handle.datasync();
    const hex = await digestOf(handle, signal, rest);
    const after = await handle.stat({ bigint: true });
    return fileKeyOf(before) === fileKeyOf(after) ? { k: 'hashed', hex, key: fileKeyOf(after) } : { k: 'moved' };
  } finally {
    await handle.close();
  }
}

async function digestOf(handle: FileHandle, signal: AbortSignal, rest: Rest): Promise<string> {
  const hash = createHash('sha256');
  let [ready, spare] = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)];
  let position = 0;
  let length = (await handle.read(ready, 0, PIECE_BYTES, position)).bytesRead;
  while (length > 0) {
    signal.throwIfAborted();
    position += length;
    const next = handle.read(spare, 0, PIECE_BYTES, position);
    hash.update(ready.subarray(0, length));
    length = (await next).bytesRead;
    await rest(position);
    [ready, spare] = [spare, ready];
  }
  return hash.digest('hex');
}
