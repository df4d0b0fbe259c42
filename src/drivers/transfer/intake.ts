// Where received bytes go: gathered into large pieces, hashed, and written while the next piece fills. The hash covers exactly the bytes
// below `position`.
import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';

/** The growing end of one part file. */
export type Intake = {
  /** Bytes taken so far, those still being written included. */
  readonly position: () => number;
  /** Takes bytes; false = the disk is behind, wait for `ready`. Throws when an earlier write failed. */
  readonly push: (bytes: Uint8Array) => boolean;
  readonly ready: () => Promise<void>;
  /** Writes what is gathered. After it the file holds everything below `position`. */
  readonly flush: () => Promise<void>;
  /** Flushes, and gives the hex SHA-256 of the whole. */
  readonly digest: () => Promise<string>;
  /** Starts over from an empty file. */
  readonly reset: () => Promise<void>;
};

const PIECE_BYTES = 1024 * 1024;
/** Pieces being written at most before `push` asks to wait. */
const PIECES = 4;

/** Continues a part file: hashes what is there already. `onHashed` is told how far that has come, bytes. */
export async function openIntake(handle: FileHandle, signal: AbortSignal, onHashed: (bytes: number) => void): Promise<Intake> {
  let hash = createHash('sha256');
  let position = await hashExisting(handle, hash, signal, onHashed);
  let piece: Buffer = Buffer.allocUnsafe(PIECE_BYTES);
  let filled = 0;
  let failure: unknown = null;
  const spare: Buffer[] = [];
  const writing = new Set<Promise<void>>();

  const store = () => {
    const [bytes, at] = [piece, position - filled];
    const length = filled;
    hash.update(bytes.subarray(0, length));
    const write = writeAll(handle, bytes.subarray(0, length), at)
      .catch((error: unknown) => {
        failure ??= error;
      })
      .finally(() => {
        writing.delete(write);
        spare.push(bytes);
      });
    writing.add(write);
    piece = spare.pop() ?? Buffer.allocUnsafe(PIECE_BYTES);
    filled = 0;
  };
  const check = () => {
    if (failure !== null) throw failure;
  };
  const flush = async () => {
    if (filled > 0) store();
    while (writing.size > 0) await Promise.all(writing);
    check();
  };
  return {
    position: () => position,
    push: (bytes) => {
      check();
      for (let taken = 0; taken < bytes.length; ) {
        const n = Math.min(bytes.length - taken, PIECE_BYTES - filled);
        piece.set(bytes.subarray(taken, taken + n), filled);
        taken += n;
        filled += n;
        position += n;
        if (filled === PIECE_BYTES) store();
      }
      return writing.size < PIECES;
    },
    ready: async () => {
      while (writing.size >= PIECES) await Promise.race(writing);
    },
    flush,
    digest: async () => {
      await flush();
      return hash.copy().digest('hex');
    },
    reset: async () => {
      filled = 0;
      while (writing.size > 0) await Promise.all(writing);
      failure = null;
      await handle.truncate(0);
      hash = createHash('sha256');
      position = 0;
    },
  };
}

async function hashExisting(handle: FileHandle, hash: Hash, signal: AbortSignal, onHashed: (bytes: number) => void): Promise<number> {
  let [ready, next] = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)];
  let position = 0;
  let { bytesRead } = await handle.read(ready, 0, PIECE_BYTES, 0);
  while (bytesRead > 0) {
    signal.throwIfAborted();
    position += bytesRead;
    const reading = handle.read(next, 0, PIECE_BYTES, position);
    hash.update(ready.subarray(0, bytesRead));
    onHashed(position);
    bytesRead = (await reading).bytesRead;
    [ready, next] = [next, ready];
  }
  return position;
}

async function writeAll(handle: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
  }
}
