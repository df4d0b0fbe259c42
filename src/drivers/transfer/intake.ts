// Where received bytes go: read from the socket straight into large pieces, which the hashing thread hashes and writes while the next one
// fills. The hash covers exactly the bytes from the intake's start to `position`.
import type { FileHandle } from 'node:fs/promises';
import type { Piece, Sink, SinkStream } from './sink-link.ts';

/** What takes the bytes of an answer: `room` is where the next ones go, `took` says how many came; false = wait before more. */
export type Body = { readonly room: () => Uint8Array; readonly took: (bytes: number) => boolean };

/** The growing end of one run of bytes in a part file. */
export type Intake = Body & {
  /** Bytes from the start of the file, those still on their way to it included. */
  readonly position: () => number;
  /** Resolves when there is room again after `took` said false. */
  readonly ready: () => Promise<void>;
  /** Hands over what is gathered, and waits. After it the file holds everything below `position`. */
  readonly flush: () => Promise<void>;
  /** Flushes, and gives the hex SHA-256 of the whole run. */
  readonly digest: () => Promise<string>;
  /** Hashes what lies at `position` already, and moves there. */
  readonly absorb: (length: number, progress: (bytes: number) => void) => Promise<void>;
  /** Starts over from an empty file. */
  readonly reset: () => Promise<void>;
  /** Never rejects. The file may be closed after it. */
  readonly close: () => Promise<void>;
};

const HERE_BYTES = 256 * 1024;
/** Pieces under way at most before `took` asks to wait. */
const PIECES = 4;

/** Opens an intake at a place of the file. */
export function openIntake(args: {
  readonly sink: Sink;
  /** Told of bytes that were handed over to be written. */
  readonly wrote: (bytes: number) => void;
  readonly handle: FileHandle;
  readonly start: number;
  /** Bytes expected; up to HERE_BYTES this thread does all by itself. */
  readonly length: number;
}): Intake {
  const { sink, handle, start } = args;
  const open = args.length <= HERE_BYTES ? sink.openHere : sink.open;
  let stream: SinkStream = open(handle, start);
  let position = start;
  let piece: Piece | null = null;
  let filled = 0;

  const hand = () => {
    if (piece !== null && filled > 0) {
      stream.write(piece, filled);
      args.wrote(filled);
    }
    piece = null;
    filled = 0;
  };
  const flush = async () => {
    hand();
    await stream.drained();
  };
  return {
    position: () => position,
    room: () => {
      piece ??= sink.piece();
      return piece.subarray(filled);
    },
    took: (bytes) => {
      filled += bytes;
      position += bytes;
      if (piece !== null && filled === piece.length) hand();
      return stream.pending() < PIECES;
    },
    ready: async () => {
      while (stream.pending() >= PIECES) await stream.turn();
    },
    flush,
    digest: async () => {
      await flush();
      return stream.digest();
    },
    absorb: async (length, progress) => {
      await stream.absorb(length, progress);
      position += length;
    },
    reset: async () => {
      filled = 0;
      piece = null;
      await stream.close();
      await handle.truncate(0);
      stream = open(handle, 0);
      position = 0;
    },
    close: () => stream.close(),
  };
}
