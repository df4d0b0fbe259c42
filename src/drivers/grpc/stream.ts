// One open stream, whichever side dialled it: what may be written when, and what is read.
import type { PeerMessage } from '../../core/io.ts';
import type { Protocol } from '../../core/membership/protocol.ts';
import { messageIn, messageOut } from './convert.ts';
import { createLimit } from './limit.ts';

/** Frames wait behind at most this many unsent messages; a later one says the same and more. */
const FRAME_BEHIND_MAX = 2;
/** Other messages may queue up to here; a peer that reads so slowly is no partner for a lease. */
const MESSAGE_BEHIND_MAX = 64;
const FRAMES_PER_SECOND = 50;
const MESSAGES_PER_SECOND = 100;

/** The part of a gRPC call that is used here; client and server calls both have it. */
export type Call = {
  readonly writableLength: number;
  readonly writableNeedDrain: boolean;
  write(bytes: Uint8Array): boolean;
  end(): void;
  on(event: 'data', listener: (bytes: Uint8Array) => void): unknown;
};

/** An open stream. */
export type PeerStream = {
  /** False = not sent, the stream is congested or closed. */
  send(msg: PeerMessage): boolean;
  /** Closes our side; nothing is sent or taken afterwards. */
  end(): void;
};

/** What becomes of the other side's messages. */
export type StreamOptions = {
  readonly clock: () => number;
  readonly onMessage: (msg: PeerMessage) => void;
  /** A heartbeat of a protocol that is not understood here. */
  readonly onForeign: (protocol: Protocol) => void;
  /** A message was not taken; called at most once a second. */
  readonly onRefused: (reason: string) => void;
};

/** Wraps a call. Messages over the peer's rate are dropped, malformed ones refused; neither ends the stream. */
export function openStream(call: Call, options: StreamOptions): PeerStream {
  const frames = createLimit(FRAMES_PER_SECOND, options.clock);
  const others = createLimit(MESSAGES_PER_SECOND, options.clock);
  const complaints = createLimit(1, options.clock);
  let open = true;

  const refuse = (reason: string) => {
    if (complaints()) options.onRefused(reason);
  };

  call.on('data', (bytes) => {
    if (!open) return;
    const parsed = messageIn(bytes);
    if (!parsed.ok) return refuse(parsed.reason);
    const { value } = parsed;
    const within = value.k === 'frame' || value.k === 'foreign' ? frames() : others();
    if (!within) return refuse('more messages per second than a peer may send');
    if (value.k === 'foreign') options.onForeign(value.protocol);
    else options.onMessage(value);
  });

  return {
    send(msg) {
      if (!open) return false;
      const behindMax = msg.k === 'frame' ? FRAME_BEHIND_MAX : MESSAGE_BEHIND_MAX;
      if (call.writableLength > behindMax || (msg.k === 'frame' && call.writableNeedDrain)) return false;
      call.write(messageOut(msg));
      return true;
    },
    end() {
      if (!open) return;
      open = false;
      call.end();
    },
  };
}
