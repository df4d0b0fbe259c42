// The hashing thread: hashes pieces and writes them while the receiving thread reads the next ones from the network. Started by sink-link.ts.
import { createHash } from 'node:crypto';
import { type MessagePort, parentPort } from 'node:worker_threads';
import type { FromSink, SinkError, ToSink } from './messages.ts';
import { absorbBytes, putPiece, type SinkRun } from './sink-run.ts';

/** Bytes hashed from the file before other streams have their turn. */
const TURN_BYTES = 8 * 1024 * 1024;

function serve(port: MessagePort): void {
  const streams = new Map<number, SinkRun>();
  const scratch = Buffer.allocUnsafeSlow(512 * 1024);
  const tell = (message: FromSink, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

  function piece(id: number, buffer: ArrayBuffer, length: number): void {
    const stream = streams.get(id);
    const error =
      stream === undefined
        ? { code: 'ECLOSED', message: 'the stream is closed' }
        : failureOf(() => putPiece(stream, new Uint8Array(buffer), length));
    tell({ k: 'written', id, buffer, error }, [buffer]);
  }

  function absorb(id: number, length: number): void {
    const stream = streams.get(id);
    if (stream === undefined) return;
    const taken = Math.min(length, TURN_BYTES);
    const error = failureOf(() => absorbBytes(stream, taken, scratch));
    const done = error !== null || taken === length;
    tell({ k: 'absorbed', id, bytes: taken, done, error });
    if (!done) setImmediate(absorb, id, length - taken);
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
