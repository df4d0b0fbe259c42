// What the main thread and the store's thread say to each other.
import type { Inventory, Sha256 } from '../../core/replication/types.ts';

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
  /** Hash this blob now unless its hash is known; answered by `verdict`. */
  | { readonly k: 'verify'; readonly id: number; readonly digest: Sha256; readonly sizeBytes: number }
  /** The main thread published this blob, hashed while it arrived. */
  | { readonly k: 'published'; readonly digest: Sha256; readonly key: string }
  | { readonly k: 'close' };

/** State of one blob under its final name. */
export type BlobVerdict = 'verified' | 'absent' | 'corrupt';

/** Verified blobs that came and went since the last change: what may be served to peers. `key` is the file key of that file. */
export type VerifiedChange = { readonly add: readonly (readonly [digest: Sha256, key: string])[]; readonly remove: readonly Sha256[] };

/** What the thread tells. */
export type FromThread =
  | { readonly k: 'scanned'; readonly id: number }
  | { readonly k: 'verdict'; readonly id: number; readonly verdict: BlobVerdict; readonly key: string }
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
