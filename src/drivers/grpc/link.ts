// Everything between this node and one peer: the stream (dialled by the smaller name, one per pair), the client for unary calls, and the
// messages that wait for a stream for a moment.
import { type Client, type ClientDuplexStream, Metadata, type ServerDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import type { PeerMessage } from '../../core/io.ts';
import type { Protocol } from '../../core/membership/protocol.ts';
import type { NodeId } from '../../core/types.ts';
import { PeerService } from '../../gen/peer.ts';
import { type Connection, keepConnected, untilBroken } from './connect.ts';
import type { ProbeTarget } from './probe.ts';
import { openStream, type PeerStream } from './stream.ts';
import type { LiveIdentity } from './tls.ts';

const OPEN_MS = 1_000;
const KNOCK_MS = 2_000;
const REJECTIONS = [status.PERMISSION_DENIED, status.ALREADY_EXISTS, status.FAILED_PRECONDITION, status.RESOURCE_EXHAUSTED];
const BREAK_MS = 10;
const WAITING_MAX = 16;
const WAITING_MS = 1_000;

/** Raw bytes in both directions: stream.ts checks them before anything is decoded. */
export const raw = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** What a link needs, and whom it tells. */
export type LinkOptions = {
  readonly self: NodeId;
  readonly peer: NodeId;
  readonly identity: LiveIdentity;
  readonly clock: () => number;
  /** Turns what the own stream sends into bytes. */
  readonly serialize: typeof raw;
  readonly onMessage: (msg: PeerMessage) => void;
  /** The peer's heartbeats are of a protocol that is not understood here. */
  readonly onForeign: (protocol: Protocol) => void;
  /** The stream opened or closed; `hard`: not by an orderly end. */
  readonly onLink: (up: boolean, hard: boolean) => void;
  /** The larger name is connected but has no stream yet: make the other side dial. */
  readonly onKnock: (client: Client) => void;
  readonly onRefused: (reason: string) => void;
  /** The peer does not let us in; told once per reason. */
  readonly onRejected: (reason: string) => void;
  readonly onReach: (up: boolean) => void;
  /** TLS between the two fails for this reason; told once per reason. */
  readonly onMismatch: (why: string) => void;
};

/** A link. */
export type Link = {
  send(msg: PeerMessage): void;
  /** Connect, or stay connected, to this address. */
  dial(target: ProbeTarget): void;
  /** Where it is, if known. */
  target(): ProbeTarget | null;
  client(): Client | null;
  /** Takes the stream that the peer dialled. */
  adopt(call: ServerDuplexStream<Uint8Array, Uint8Array>): void;
  /** The peer was heard by other means: connect now. */
  heard(): void;
  linked(): boolean;
  /** Monotonic ms of the last dial order. */
  dialledAt(): number;
  close(): void;
};

/** A link without address or stream. */
export function createLink(options: LinkOptions): Link {
  const { clock } = options;
  const owner = options.self < options.peer;
  let target: ProbeTarget | null = null;
  let dialledAt = clock();
  let connection: Connection | null = null;
  let stream: PeerStream | null = null;
  let closed = false;
  let lastRejection = '';
  let lastMismatch = '';
  let waiting: { readonly msg: PeerMessage; readonly at: number }[] = [];

  function opened(call: Parameters<typeof openStream>[0]): PeerStream {
    const { onMessage, onForeign, onRefused } = options;
    const next = openStream(call, { clock, onMessage, onForeign, onRefused });
    stream?.end();
    stream = next;
    options.onLink(true, false);
    const fresh = waiting.filter((item) => clock() - item.at < WAITING_MS);
    waiting = [];
    for (const item of fresh) next.send(item.msg);
    return next;
  }

  function lost(which: PeerStream, hard: boolean): void {
    which.end();
    if (stream !== which) return;
    stream = null;
    if (!closed) options.onLink(false, hard);
  }

  function rejected(reason: string): void {
    if (reason === lastRejection) return;
    lastRejection = reason;
    options.onRejected(reason);
  }

  function mismatched(why: string): void {
    if (why === lastMismatch) return;
    lastMismatch = why;
    options.onMismatch(why);
  }

  /** Owner: opens the stream and lives with it. Settles when it is over. */
  function holdStream(client: Client, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const { path } = PeerService.stream;
      const call: ClientDuplexStream<Uint8Array, Uint8Array> = client.makeBidiStreamRequest(
        path,
        options.serialize,
        raw,
        new Metadata(),
        {},
      );
      let own: PeerStream | null = null;
      const over = (hard: boolean) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', cancel);
        if (own !== null) lost(own, hard);
        resolve();
      };
      const cancel = () => {
        own?.end();
        setTimeout(() => call.cancel(), 100).unref();
        over(false);
      };
      const timer = setTimeout(() => {
        call.cancel();
        over(false);
      }, OPEN_MS);
      signal.addEventListener('abort', cancel, { once: true });
      // Not once 'data' comes: the other side's first words are its headers, sent as soon as it has checked our name.
      call.once('metadata', () => {
        clearTimeout(timer);
        own = opened(call);
      });
      call.on('error', (error: ServiceError) => {
        if (own === null && REJECTIONS.includes(error.code)) rejected(error.details);
        over(error.code !== status.CANCELLED);
      });
      call.on('end', () => over(false));
    });
  }

  /** Not owner: keeps the client for unary calls, and knocks while the other side has not dialled. */
  async function holdClient(client: Client, signal: AbortSignal): Promise<void> {
    const knock = () => {
      if (stream === null) options.onKnock(client);
    };
    const timer = setInterval(knock, KNOCK_MS);
    knock();
    await untilBroken(client, signal);
    clearInterval(timer);
  }

  return {
    send(msg) {
      if (stream !== null) {
        stream.send(msg);
        return;
      }
      if (msg.k === 'frame' || closed) return;
      waiting = [...waiting.slice(1 - WAITING_MAX), { msg, at: clock() }];
    },
    dial(next) {
      const moved = target !== null && (target.host !== next.host || target.port !== next.port);
      target = next;
      dialledAt = clock();
      if (closed) return;
      if (connection !== null) {
        if (moved) connection.nudge();
        return;
      }
      const { identity } = options;
      const onReach = (up: boolean) => {
        if (up) lastMismatch = '';
        options.onReach(up);
      };
      const use = owner ? holdStream : holdClient;
      connection = keepConnected({
        target: () => target ?? next,
        identity,
        streams: owner,
        clock,
        use,
        onChange: onReach,
        onMismatch: mismatched,
      });
    },
    target: () => target,
    client: () => connection?.client() ?? null,
    adopt(call) {
      if (closed) {
        call.end();
        return;
      }
      call.sendMetadata(new Metadata());
      const own = opened(call);
      // A peer that dies ends its side too, a moment before the break shows.
      call.on('end', () => setTimeout(() => lost(own, false), BREAK_MS));
      call.on('cancelled', () => lost(own, true));
      call.on('error', () => lost(own, true));
      call.on('close', () => lost(own, true));
    },
    heard: () => connection?.nudge(),
    linked: () => stream !== null,
    dialledAt: () => dialledAt,
    close() {
      closed = true;
      stream?.end();
      stream = null;
      connection?.close();
    },
  };
}
