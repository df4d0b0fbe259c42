// The receiving end of one blob connection: one request at a time, its bytes handed on as they come, no byte kept.

import { X509Certificate } from 'node:crypto';
import type { OnReadOpts } from 'node:net';
import { type ConnectionOptions, connect } from 'node:tls';
import type { NodeId } from '../../core/types.ts';
import { certificateName, nodeOfCertificate } from './identity.ts';
import type { BlobAddress, TlsMaterial } from './messages.ts';
import { type BlobRequest, decodeHead, encodeRequest, HEAD_BYTES, type ReplyHead } from './protocol.ts';
import { TLS_OPTIONS } from './tls.ts';

/** What became of a request. `wrong` = answered, but there is nothing to have. A drop or a stall is thrown. */
export type GetResult = { readonly k: 'all' } | { readonly k: 'wrong'; readonly reason: string };

/** A live connection to one peer. */
export type Connection = {
  /** Asks for a range of a blob of `sizeBytes`. `take` gets the bytes (valid only during the call) and says false to pause. */
  readonly get: (args: {
    readonly request: BlobRequest;
    readonly sizeBytes: number;
    readonly take: (bytes: Buffer) => boolean;
    readonly signal: AbortSignal;
  }) => Promise<GetResult>;
  /** Go on after `take` said false. */
  readonly resume: () => void;
  readonly usable: () => boolean;
  readonly close: () => void;
};

type Running = {
  readonly request: BlobRequest;
  readonly sizeBytes: number;
  readonly take: (bytes: Buffer) => boolean;
  readonly resolve: (result: GetResult) => void;
  readonly reject: (error: Error) => void;
  head: ReplyHead | null;
  left: number;
};

const READ_BYTES = 256 * 1024;

/** Connects to `peer.node`; rejects when the certificate at the other end is not that node's. */
export function openConnection(args: {
  readonly peer: BlobAddress & { readonly node: NodeId };
  readonly cluster: string;
  readonly tls: TlsMaterial;
  /** Longest time without a byte while bytes are wanted, ms; for the handshake too. */
  readonly stallMs: number;
  readonly signal: AbortSignal;
}): Promise<Connection> {
  const { peer, cluster, stallMs, signal } = args;
  const headBytes = Buffer.alloc(HEAD_BYTES);
  let headFilled = 0;
  let running: Running | null = null;
  let paused = false;
  let lastByteAt = performance.now();
  const opened = Promise.withResolvers<Connection>();

  const options: ConnectionOptions & { readonly onread: OnReadOpts } = {
    ...TLS_OPTIONS,
    ...args.tls,
    host: peer.host,
    port: peer.port,
    servername: certificateName(peer.node, cluster),
    checkServerIdentity: (_host, certificate) => {
      const names = new X509Certificate(certificate.raw).subjectAltName;
      return nodeOfCertificate(names, cluster) === peer.node ? undefined : new Error(`the certificate is not that of ${peer.node}`);
    },
    // One buffer for every read: no garbage per 16 KiB of TLS record.
    onread: {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback: (n, buffer) => onBytes(Buffer.from(buffer.buffer, buffer.byteOffset, n)),
    },
  };
  const socket = connect(options);
  const watchdog = setInterval(() => {
    const waits = running !== null || socket.connecting || !socket.authorized;
    if (waits && !paused && performance.now() - lastByteAt > stallMs) fail(new Error(`no byte for ${stallMs} ms`));
  }, stallMs / 4);

  function fail(error: Error): void {
    clearInterval(watchdog);
    socket.destroy();
    opened.reject(error);
    running?.reject(error);
    running = null;
  }

  /** False pauses the reading. */
  function onBytes(bytes: Buffer): boolean {
    lastByteAt = performance.now();
    const get = running;
    if (get === null) return surplus();
    if (get.head !== null) return onBody(get, bytes);
    const taken = bytes.copy(headBytes, headFilled, 0, HEAD_BYTES - headFilled);
    headFilled += taken;
    if (headFilled < HEAD_BYTES) return true;
    onHead(get);
    if (taken === bytes.length) return true;
    return running === get ? onBody(get, bytes.subarray(taken)) : surplus();
  }

  function surplus(): boolean {
    fail(new Error('bytes that nobody asked for'));
    return false;
  }

  function onHead(get: Running): void {
    headFilled = 0;
    const head = decodeHead(headBytes);
    get.head = head;
    if (head === null) {
      fail(new Error('a malformed reply'));
    } else if (head.status !== 'ok') {
      finish(get, { k: 'wrong', reason: head.status === 'absent' ? 'does not have it' : 'has another size' });
    } else if (head.length !== get.request.length || head.sizeBytes !== get.sizeBytes) {
      // The bytes are on their way already, so the connection is of no further use.
      finish(get, { k: 'wrong', reason: 'has another size' });
      fail(new Error('has another size'));
    } else {
      get.left = head.length;
      if (get.left === 0) finish(get, { k: 'all' });
    }
  }

  function onBody(get: Running, bytes: Buffer): boolean {
    if (bytes.length > get.left) return surplus();
    get.left -= bytes.length;
    try {
      paused = !get.take(bytes) && get.left > 0;
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)));
      return false;
    }
    if (get.left === 0) finish(get, { k: 'all' });
    return !paused;
  }

  function finish(get: Running, result: GetResult): void {
    running = null;
    get.resolve(result);
  }

  const connection: Connection = {
    get: ({ request, sizeBytes, take, signal: stop }) => {
      stop.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<GetResult>();
      const abort = () => fail(new Error('aborted'));
      stop.addEventListener('abort', abort, { once: true });
      lastByteAt = performance.now();
      running = { request, sizeBytes, take, resolve, reject, head: null, left: 0 };
      socket.write(encodeRequest(request));
      return promise.finally(() => stop.removeEventListener('abort', abort));
    },
    resume: () => {
      paused = false;
      lastByteAt = performance.now();
      socket.resume();
    },
    usable: () => !socket.destroyed && running === null,
    close: () => fail(new Error('closed')),
  };
  const abort = () => fail(new Error('aborted'));
  signal.addEventListener('abort', abort, { once: true });
  socket.once('secureConnect', () => {
    signal.removeEventListener('abort', abort);
    opened.resolve(connection);
  });
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the connection was closed')));
  return opened.promise;
}
