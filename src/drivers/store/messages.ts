// What the main thread and the store's thread say to each other.
import type { BlobRef, Inventory, ModelPath, Sha256 } from '../../core/replication/types.ts';
import type { Owner } from './durable.ts';

/** Given to the thread at its start. */
export type ThreadSetup = {
  readonly root: string;
  readonly verifiedFile: string;
  /** The slow look that needs no event, ms. */
  readonly rescanMs: number;
};

/** What the thread is asked. */
export type ToThread =
  | { readonly k: 'rescan'; readonly id: number }
  /** Hash these blobs now unless their hash is known; each answered in a `verdicts`. */
  | { readonly k: 'verify'; readonly asks: readonly { readonly id: number; readonly ref: BlobRef }[] }
  /** Hash this blob now, whatever is known of it, at most so fast (bytes per second, 0 = no limit); answered in a `verdicts`. */
  | { readonly k: 'rehash'; readonly id: number; readonly ref: BlobRef; readonly bytesPerSecondMax: number }
  /** Which of these do not lie there as verified? By stat alone; answered by `doubtful`. */
  | { readonly k: 'check'; readonly id: number; readonly refs: readonly BlobRef[] }
  /** Look at the disk, then tell which model names which blobs; answered by `listed`. */
  | { readonly k: 'list'; readonly id: number }
  /** Flush the store's file system; answered by `synced`. */
  | { readonly k: 'sync'; readonly id: number }
  /** Move these small blobs under their final names; each answered in a `placed`. */
  | { readonly k: 'place'; readonly asks: readonly PlaceAsk[] }
  /** The main thread published this blob, hashed while it arrived. */
  | { readonly k: 'published'; readonly digest: Sha256; readonly key: string }
  | { readonly k: 'close' };

/** A small blob whose part has the file key `key`. */
export type PlaceAsk = { readonly id: number; readonly ref: BlobRef; readonly key: string; readonly owner: Owner };

/** State of one blob under its final name. */
export type BlobVerdict = 'verified' | 'absent' | 'corrupt';

/** A manifest on disk and what it names; `blobs` null = it cannot be read, so nobody knows. */
export type NamedBlobs = { readonly path: ModelPath; readonly digest: Sha256; readonly blobs: readonly BlobRef[] | null };

/** Verified blobs that came and went since the last change: what may be served to peers. `key` is the file key of that file. */
export type VerifiedChange = { readonly add: readonly (readonly [digest: Sha256, key: string])[]; readonly remove: readonly Sha256[] };

/** Answer to one `verify` or `rehash`. */
export type Verdict = { readonly id: number; readonly verdict: BlobVerdict; readonly key: string };

/** Answer to one `place`. `key` null: not placed; `partKey` is then the file key of the part as it was left. */
export type Placed = { readonly id: number; readonly key: string | null; readonly partKey: string };

/** What the thread tells. */
export type FromThread =
  | { readonly k: 'scanned'; readonly id: number }
  | { readonly k: 'verdicts'; readonly answers: readonly Verdict[] }
  | { readonly k: 'doubtful'; readonly id: number; readonly refs: readonly BlobRef[] }
  | { readonly k: 'listed'; readonly id: number; readonly models: readonly NamedBlobs[]; readonly refused: string | null }
  | { readonly k: 'synced'; readonly id: number; readonly done: boolean }
  | { readonly k: 'placed'; readonly answers: readonly Placed[] }
  | { readonly k: 'blobs'; readonly change: VerifiedChange }
  | { readonly k: 'inventory'; readonly inventory: Inventory }
  | {
      readonly k: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly event: string;
      readonly text: string;
      readonly fields: LogFields;
    };

/** Fields of a log line. */
export type LogFields = Readonly<Record<string, string | number | boolean>>;
