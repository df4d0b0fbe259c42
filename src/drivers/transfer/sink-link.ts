// The receiving thread's end of the hashing thread: pieces go over whole, without a copy, and come back empty.
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import type { FromSink, SinkError, ToSink } from './messages.ts';
import { absorbBytes, putPiece } from './sink-run.ts';

/** A piece of memory on its way between the threads. */
export type Piece = Uint8Array<ArrayBuffer>;

/** A run of bytes of one file, written in order, and the SHA-256 of them. Each rejects with what the file system said. */
export type SinkStream = {
  /** Gives a piece away. */
  readonly write: (piece: Piece, length: number) => void;
  /** Pieces given and not written yet. */
  readonly pending: () => number;
  /** Resolves with the next piece written. */
  readonly turn: () => Promise<void>;
  /** Resolves when all given is written. */
  readonly drained: () => Promise<void>;
  /** Hashes what the file holds at the stream's position. `progress` gets the bytes since the last call. Nothing may be pending. */
  readonly absorb: (length: number, progress: (bytes: number) => void) => Promise<void>;
  /** Hex SHA-256 of everything before; nothing may be pending. */
  readonly digest: () => Promise<string>;
  /** The file must stay open until this resolves: pieces may still be on their way. */
  readonly close: () => Promise<void>;
};

/** The hashing thread. */
export type Sink = {
  readonly piece: () => Piece;
  readonly open: (handle: FileHandle, at: number) => SinkStream;
  /** The same in this thread: for a file so small that the way to the other one is longer. */
  readonly openHere: (handle: FileHandle, at: number) => SinkStream;
  readonly close: () => void;
};

type Listener = (message: FromSink) => void;

/** Large enough to make messages cheap, small enough to be written from the cache. */
const PIECE_BYTES = 512 * 1024;
const SPARE_MAX = 8;

/** Starts the thread with the first stream that needs it. Its death ends the receiving thread, whose orders fail and are asked again. */
export function openSink(): Sink {
  const listeners = new Map<number, Listener>();
  const spare: ArrayBuffer[] = [];
  let worker: Worker | null = null;
  let nextId = 1;
  const keep = (buffer: ArrayBuffer) => {
    if (spare.length < SPARE_MAX) spare.push(buffer);
  };
  const start = (): Worker => {
    const started = new Worker(new URL('./sink.ts', import.meta.url), { resourceLimits: { maxYoungGenerationSizeMb: 1 } });
    started.on('message', (message: FromSink) => {
      if (message.k === 'written') keep(message.buffer);
      listeners.get(message.id)?.(message);
    });
    started.on('error', (error) => {
      throw error;
    });
    return started;
  };
  return {
    piece: () => new Uint8Array(spare.pop() ?? new ArrayBuffer(PIECE_BYTES)),
    open: (handle, at) => {
      const id = nextId++;
      worker ??= start();
      const thread = worker;
      const ask = (message: ToSink, transfer: readonly ArrayBuffer[] = []) => thread.postMessage(message, transfer);
      ask({ k: 'open', id, fd: handle.fd, at });
      return openStream({
        id,
        ask,
        listen: (listener) => listeners.set(id, listener),
        leave: () => listeners.delete(id),
      });
    },
    openHere: (handle, at) => openHere(handle, at, keep),
    close: () => void worker?.terminate(),
  };
}

function openHere(handle: FileHandle, start: number, keep: (buffer: ArrayBuffer) => void): SinkStream {
  const run = { fd: handle.fd, hash: createHash('sha256'), at: start };
  const idle = () => Promise.resolve();
  return {
    write: (piece, length) => {
      putPiece(run, piece, length);
      keep(piece.buffer);
    },
    pending: () => 0,
    turn: idle,
    drained: idle,
    absorb: async (length, progress) => {
      absorbBytes(run, length, new Uint8Array(length));
      progress(length);
    },
    digest: async () => run.hash.copy().digest('hex'),
    close: idle,
  };
}

function openStream(args: {
  readonly id: number;
  readonly ask: (message: ToSink, transfer?: readonly ArrayBuffer[]) => void;
  readonly listen: (listener: Listener) => void;
  readonly leave: () => void;
}): SinkStream {
  const { id, ask } = args;
  let pending = 0;
  let failure: Error | null = null;
  let turn = Promise.withResolvers<void>();
  let question: { readonly resolve: (hex: string) => void; readonly progress: (bytes: number) => void } | null = null;

  const check = () => {
    if (failure !== null) throw failure;
  };
  const fail = (error: SinkError | null) => {
    if (error !== null) failure ??= Object.assign(new Error(error.message), { code: error.code });
  };
  const answer = (hex: string) => {
    const asked = question;
    question = null;
    asked?.resolve(hex);
  };
  args.listen((message) => {
    switch (message.k) {
      case 'written':
        pending -= 1;
        fail(message.error);
        turn.resolve();
        turn = Promise.withResolvers();
        return;
      case 'absorbed':
        fail(message.error);
        question?.progress(message.bytes);
        if (message.done) answer('');
        return;
      case 'digest':
        answer(message.hex);
    }
  });
  const asking = async (message: ToSink, progress: (bytes: number) => void): Promise<string> => {
    const { promise, resolve } = Promise.withResolvers<string>();
    question = { resolve, progress };
    ask(message);
    const hex = await promise;
    check();
    return hex;
  };
  const settle = async () => {
    while (pending > 0) await turn.promise;
  };
  return {
    write: (piece, length) => {
      check();
      pending += 1;
      ask({ k: 'piece', id, buffer: piece.buffer, length }, [piece.buffer]);
    },
    pending: () => pending,
    turn: async () => {
      if (pending > 0) await turn.promise;
    },
    drained: async () => {
      await settle();
      check();
    },
    absorb: async (length, progress) => {
      if (length > 0) await asking({ k: 'absorb', id, length }, progress);
    },
    digest: () => asking({ k: 'digest', id }, () => undefined),
    close: async () => {
      ask({ k: 'close', id });
      answer('');
      await settle();
      args.leave();
    },
  };
}
