// The receiving end of one blob connection: requests answered in order, their bytes read from the socket straight to where they belong.
import type { Socket } from 'node:net';
import type { Body } from './intake.ts';
import type { Peer } from './messages.ts';
import { type BlobRequest, decodeHead, encodeRequest, HEAD_BYTES, type ReplyHead } from './protocol.ts';
import type { Dial } from './tls.ts';

/** What became of a request. `wrong` = answered, but there is nothing to have. A drop or a stall is thrown. */
export type GetResult = { readonly k: 'all'; readonly head: ReplyHead } | { readonly k: 'wrong'; readonly reason: string };

/** A request, and where its bytes go. */
export type Ask = {
  readonly request: BlobRequest;
  /** Whether a reply of this size may follow; no means that the peer's blob is another one. */
  readonly fits: (head: ReplyHead) => boolean;
  readonly body: Body;
  readonly signal: AbortSignal;
};

/** A live connection to one peer. */
export type Connection = {
  /** Sends the request at once, even when earlier ones are not answered yet. */
  readonly get: (ask: Ask) => Promise<GetResult>;
  /** Go on after a body said false; once for each time. */
  readonly resume: () => void;
  /** Nothing is awaited. */
  readonly usable: () => boolean;
  readonly closed: () => boolean;
  readonly close: () => void;
};

type Running = Ask & {
  readonly resolve: (result: GetResult) => void;
  readonly reject: (error: Error) => void;
  head: ReplyHead | null;
  left: number;
};

/** Read buffer for heads. What follows a head in the same read is copied, so it is small. */
const HEADS_BYTES = 4096;

/** Connects; rejects when the other end is not who it should be. */
export function openConnection(args: {
  readonly peer: Peer;
  readonly dial: Dial;
  /** Longest time without a byte while bytes are wanted, ms; for the handshake too. */
  readonly stallMs: number;
  readonly signal: AbortSignal;
}): Promise<Connection> {
  const { stallMs, signal } = args;
  const headBytes = Buffer.alloc(HEAD_BYTES);
  const scratch = Buffer.allocUnsafeSlow(HEADS_BYTES);
  const running: Running[] = [];
  let headFilled = 0;
  let into: Uint8Array = scratch;
  let isOpen = false;
  // Bodies that said false, and were not resumed yet: bytes that were decrypted already come in spite of a pause.
  let held = 0;
  let lastByteAt = performance.now();
  const opened = Promise.withResolvers<Connection>();

  const { socket, ready } = args.dial(args.peer, {
    // The next read never reaches beyond the body that is being read, so its bytes need no copy.
    buffer: () => {
      const get = running[0];
      into = get === undefined || get.head === null ? scratch : upTo(get.body.room(), get.left);
      return into;
    },
    callback: (n) => onBytes(n),
  });
  const watchdog = setInterval(() => {
    const waits = running.length > 0 || !isOpen;
    if (waits && held === 0 && performance.now() - lastByteAt > stallMs) fail(new Error(`no byte for ${stallMs} ms`));
  }, stallMs / 4);

  function fail(error: Error): void {
    clearInterval(watchdog);
    socket.destroy();
    opened.reject(error);
    for (const get of running.splice(0)) get.reject(error);
  }

  /** False pauses the reading. */
  function onBytes(n: number): boolean {
    lastByteAt = performance.now();
    try {
      const get = running[0];
      if (into !== scratch && get !== undefined) onBody(get, n);
      else onHeads(scratch.subarray(0, n));
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)));
    }
    return held === 0;
  }

  function onHeads(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && !socket.destroyed; ) {
      const get = running[0];
      if (get === undefined) {
        fail(new Error('bytes that nobody asked for'));
        return;
      }
      if (get.head === null) {
        const taken = bytes.copy(headBytes, headFilled, at, at + HEAD_BYTES - headFilled);
        headFilled += taken;
        at += taken;
        if (headFilled === HEAD_BYTES) onHead(get);
      } else {
        const room = upTo(get.body.room(), Math.min(get.left, bytes.length - at));
        room.set(bytes.subarray(at, at + room.length));
        at += room.length;
        onBody(get, room.length);
      }
    }
  }

  function onHead(get: Running): void {
    headFilled = 0;
    const head = decodeHead(headBytes);
    get.head = head;
    if (head === null) {
      fail(new Error('a malformed reply'));
    } else if (head.status !== 'ok') {
      finish({ k: 'wrong', reason: head.status === 'absent' ? 'does not have it' : 'has another size' });
      if (head.length > 0) fail(new Error('a malformed reply'));
    } else if (!get.fits(head)) {
      // The bytes are on their way already, so the connection is of no further use.
      finish({ k: 'wrong', reason: 'has another size' });
      fail(new Error('has another size'));
    } else {
      get.left = head.length;
      if (get.left === 0) finish({ k: 'all', head });
    }
  }

  function onBody(get: Running, n: number): void {
    get.left -= n;
    // Also at its end: what follows belongs to others, but is paid for from the same limit.
    if (!get.body.took(n)) held += 1;
    if (get.left === 0 && get.head !== null) finish({ k: 'all', head: get.head });
  }

  function finish(result: GetResult): void {
    running.shift()?.resolve(result);
  }

  const connection: Connection = {
    get: (ask) => {
      ask.signal.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<GetResult>();
      const abort = () => fail(new Error('aborted'));
      ask.signal.addEventListener('abort', abort, { once: true });
      if (running.length === 0) lastByteAt = performance.now();
      running.push({ ...ask, resolve, reject, head: null, left: 0 });
      if (socket.destroyed) fail(new Error('the connection was closed'));
      else socket.write(encodeRequest(ask.request));
      return promise.finally(() => ask.signal.removeEventListener('abort', abort));
    },
    resume: () => {
      held -= 1;
      if (held > 0) return;
      lastByteAt = performance.now();
      socket.resume();
    },
    usable: () => !socket.destroyed && running.length === 0,
    closed: () => socket.destroyed,
    close: () => fail(new Error('closed')),
  };
  const abort = () => fail(new Error('aborted'));
  signal.addEventListener('abort', abort, { once: true });
  socket.once(ready, () => {
    isOpen = true;
    signal.removeEventListener('abort', abort);
    opened.resolve(connection);
  });
  ended(socket, fail);
  return opened.promise;
}

function ended(socket: Socket, fail: (error: Error) => void): void {
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the connection was closed')));
}

function upTo(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.length <= length ? bytes : bytes.subarray(0, length);
}

/** Collects a short answer of at most `bytesMax`. */
export function collector(bytesMax: number): Body & { readonly bytes: () => Buffer } {
  const buffer = Buffer.alloc(bytesMax + 1);
  let filled = 0;
  return {
    room: () => buffer.subarray(filled),
    took: (n) => {
      filled += n;
      return true;
    },
    bytes: () => buffer.subarray(0, filled),
  };
}
