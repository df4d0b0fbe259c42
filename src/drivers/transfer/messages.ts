// What the main thread and the two transfer threads say to each other.
import type { Sha256 } from '../../core/replication/types.ts';
import type { NodeId } from '../../core/types.ts';

/** PEM texts of this node's identity. */
export type TlsMaterial = { readonly ca: string; readonly cert: string; readonly key: string };

/** Where a node listens for blob connections. */
export type BlobAddress = { readonly host: string; readonly port: number };

/** Verified blobs that came and went; `key` is the file key of the verified file. */
export type OfferChange = { readonly add: readonly (readonly [digest: Sha256, key: string])[]; readonly remove: readonly Sha256[] };

/**
 * A blob on its way, shared with others chunk by chunk: bits of `have` are set once their chunk is verified and written, those of `coming`
 * while it is asked of somebody.
 */
export type SharedPart = {
  readonly file: string;
  readonly inode: string;
  readonly sizeBytes: number;
  readonly have: SharedArrayBuffer;
  readonly coming: SharedArrayBuffer;
};

/** A line for the log. */
export type LogLine = {
  readonly k: 'log';
  readonly level: 'info' | 'warn' | 'error';
  readonly event: string;
  readonly text: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
};

/** Given to the serving thread. */
export type ServerSetup = {
  readonly listen: BlobAddress;
  readonly root: string;
  readonly cluster: string;
  readonly tls: TlsMaterial;
  readonly nodes: readonly NodeId[];
};
/** Asked of the serving thread. */
export type ToServer =
  | { readonly k: 'offer'; readonly change: OfferChange }
  /** Null: no longer. A part that became whole ends with its offer. */
  | { readonly k: 'part'; readonly digest: Sha256; readonly part: SharedPart | null }
  | { readonly k: 'nodes'; readonly nodes: readonly NodeId[] }
  /** For later handshakes. */
  | { readonly k: 'tls'; readonly tls: TlsMaterial }
  | { readonly k: 'close' };
/** Told by the serving thread. */
export type FromServer = { readonly k: 'listening'; readonly port: number } | LogLine;

/** Given to the receiving thread. */
export type ReceiverSetup = {
  readonly cluster: string;
  readonly tls: TlsMaterial;
  readonly stallMs: number;
  readonly bytesPerSecondMax: number;
};

/** Where one node serves its blobs. */
export type Peer = BlobAddress & { readonly node: NodeId };

/** One blob to receive into `file`; sources in order of preference. `mates`: others that may be fetching it too, or have it. */
export type ReceiveOrder = {
  readonly digest: Sha256;
  readonly sizeBytes: number;
  readonly file: string;
  readonly sources: readonly Peer[];
  readonly mates: readonly Peer[];
};
/** Asked of the receiving thread, several in one message. */
export type ToReceiver =
  | { readonly k: 'receive'; readonly id: number; readonly order: ReceiveOrder }
  | { readonly k: 'cancel'; readonly id: number }
  | { readonly k: 'limit'; readonly bytesPerSecondMax: number }
  /** For later handshakes. */
  | { readonly k: 'tls'; readonly tls: TlsMaterial }
  | { readonly k: 'close' };

/** Where a blob stands. `verify` = hashing what an earlier life received. */
export type ReceiveProgress = { readonly doneBytes: number; readonly phase: 'verify' | 'receive' | 'flush'; readonly from: NodeId };

/** A source that did not deliver, and why. `corrupt` = its bytes did not have the digest. */
export type Blame = { readonly node: NodeId; readonly reason: string; readonly corrupt: boolean };

/** End of one order. `key` is the file key of the verified part, flushed unless it is small (SMALL_BLOB_BYTES). */
export type ReceiveOutcome =
  | {
      readonly k: 'done';
      readonly key: string;
      readonly from: NodeId | '';
      readonly receivedBytes: number;
      readonly blamed: readonly Blame[];
    }
  | {
      readonly k: 'failed';
      readonly cause: 'sources' | 'disk' | 'full' | 'aborted';
      readonly reason: string;
      readonly blamed: readonly Blame[];
    };

/** Told by the receiving thread, several in one message. */
export type FromReceiver =
  | ({ readonly k: 'progress'; readonly id: number } & ReceiveProgress)
  | { readonly k: 'outcome'; readonly id: number; readonly outcome: ReceiveOutcome }
  | { readonly k: 'part'; readonly digest: Sha256; readonly part: SharedPart | null }
  | LogLine;

/** Asked of the hashing thread. A stream is a run of bytes of one open file with the SHA-256 of what went through it. */
export type ToSink =
  | { readonly k: 'open'; readonly id: number; readonly fd: number; readonly at: number }
  /** Hash `length` bytes of the buffer and write them at the stream's position; the buffer comes back with `written`. */
  | { readonly k: 'piece'; readonly id: number; readonly buffer: ArrayBuffer; readonly length: number }
  /** Hash what lies at the stream's position already. */
  | { readonly k: 'absorb'; readonly id: number; readonly length: number }
  | { readonly k: 'digest'; readonly id: number }
  | { readonly k: 'close'; readonly id: number };

/** An error of the file system, as it crosses threads. */
export type SinkError = { readonly code: string; readonly message: string };

/** Told by the hashing thread. */
export type FromSink =
  | { readonly k: 'written'; readonly id: number; readonly buffer: ArrayBuffer; readonly error: SinkError | null }
  | { readonly k: 'absorbed'; readonly id: number; readonly bytes: number; readonly done: boolean; readonly error: SinkError | null }
  | { readonly k: 'digest'; readonly id: number; readonly hex: string };
