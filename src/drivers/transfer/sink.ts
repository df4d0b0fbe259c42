// The hashing thread: hashes pieces and writes them while the receiving thread reads the next ones from the network. Its calls block, so
// that a piece is hashed and written while it is still in the processor's cache. Started by sink-link.ts.
import { createHash, type Hash } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { type MessagePort, parentPort } from 'node:worker_threads';
import type { FromSink, SinkError, ToSink } from './messages.ts';

type Stream = { readonly fd: number; readonly hash: Hash; at: number };

/** Bytes hashed from the file before other streams have their turn. */
const TURN_BYTES = 8 * 1024 * 1024;

function serve(port: MessagePort): void {
  const streams = new Map<number, Stream>();
  const scratch = Buffer.allocUnsafeSlow(512 * 1024);
  const tell = (message: FromSink, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

  function piece(id: number, buffer: ArrayBuffer, length: number): void {
    const stream = streams.get(id);
    const error =
      stream === undefined ? { code: 'ECLOSED', message: 'the stream is closed' } : failureOf(() => put(stream, buffer, length));
    tell({ k: 'written', id, buffer, error }, [buffer]);
  }

  function put(stream: Stream, buffer: ArrayBuffer, length: number): void {
    const bytes = new Uint8Array(buffer, 0, length);
    stream.hash.update(bytes);
    for (let done = 0; done < length; ) done += writeSync(stream.fd, bytes, done, length - done, stream.at + done);
    stream.at += length;
  }

  function absorb(id: number, length: number): void {
    const stream = streams.get(id);
    if (stream === undefined) return;
    let taken = 0;
    const error = failureOf(() => {
      taken = take(stream, Math.min(length, TURN_BYTES));
    });
    const done = error !== null || taken === length;
    tell({ k: 'absorbed', id, bytes: taken, done, error });
    if (!done) setImmediate(absorb, id, length - taken);
  }

  function take(stream: Stream, length: number): number {
    for (let done = 0; done < length; ) {
      const n = readSync(stream.fd, scratch, 0, Math.min(scratch.length, length - done), stream.at);
      if (n === 0) throw new Error('the part became shorter');
      stream.hash.update(scratch.subarray(0, n));
      stream.at += n;
      done += n;
    }
    return length;
  }

  port.on('message', (message: ToSink) => {
    const { id } = message;
    switch (message.k) {
      case 'open':
        streams.set(id, { fd: message.fd, hash: createHash('sha256'), at: message.at });
        return;
      case 'piece':
        piece(id, message.buffer, message.length);
        return;
      case 'absorb':
        absorb(id, message.length);
        return;
      case 'digest':
        tell({ k: 'digest', id, hex: streams.get(id)?.hash.copy().digest('hex') ?? '' });
        return;
      case 'close':
        streams.delete(id);
    }
  });
}

function failureOf(act: () => void): SinkError | null {
  try {
    act();
    return null;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    return { code, message: error instanceof Error ? error.message : String(error) };
  }
}

if (parentPort !== null) serve(parentPort);
