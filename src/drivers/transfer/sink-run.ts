// Hashing and writing one run of bytes of a file. Blocks: the bytes are hashed and written while they are still in the processor's cache.
import type { Hash } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';

/** A run of bytes of an open file, and the hash of what went through it. */
export type SinkRun = { readonly fd: number; readonly hash: Hash; at: number };

/** Hashes and writes `length` bytes. Throws what the file system throws. */
export function putPiece(run: SinkRun, bytes: Uint8Array, length: number): void {
  run.hash.update(bytes.subarray(0, length));
  for (let done = 0; done < length; ) done += writeSync(run.fd, bytes, done, length - done, run.at + done);
  run.at += length;
}

/** Hashes `length` bytes that the file holds at the run's position. */
export function absorbBytes(run: SinkRun, length: number, scratch: Uint8Array): void {
  for (let done = 0; done < length; ) {
    const n = readSync(run.fd, scratch, 0, Math.min(scratch.length, length - done), run.at);
    if (n === 0) throw new Error('the part became shorter');
    run.hash.update(scratch.subarray(0, n));
    run.at += n;
    done += n;
  }
}
