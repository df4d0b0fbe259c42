// Lets the disk begin with a large file while the rest of it still comes. Without it the whole file would be flushed at the end, when nothing
// else is left to do.
import type { FileHandle } from 'node:fs/promises';

/** Bytes after which the disk is told to begin with them. */
const BEGIN_BYTES = 64 * 1024 * 1024;

/** Takes the number of bytes that were written, and flushes now and then. What a flush says is left to the one at the end. */
export function openEarlyFlush(flush: (handle: FileHandle) => Promise<void>, handle: FileHandle): (bytes: number) => void {
  let waitingBytes = 0;
  let running = false;
  const ended = () => {
    running = false;
  };
  return (bytes) => {
    waitingBytes += bytes;
    if (waitingBytes < BEGIN_BYTES || running) return;
    waitingBytes = 0;
    running = true;
    flush(handle).then(ended, ended);
  };
}
