// Small blobs from the stage to their final names, many at once, in the store's thread. A model may have thousands: with a dozen
// asynchronous calls for each on the main thread, their number would decide, not the disk. Here the calls block, and one flush serves all.
import { closeSync, constants, fchmodSync, fchownSync, fstatSync, fsyncSync, futimesSync, lstatSync, openSync, renameSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileKeyOf } from '../../core/replication/names.ts';
import type { BlobRef } from '../../core/replication/types.ts';
import type { Owner } from './durable.ts';
import { blobFile, FILE_MODE, partFile } from './layout.ts';

/** One blob to place: `key` is the file key at which its hash was checked. */
export type Placing = {
  readonly ref: BlobRef;
  readonly key: string;
  readonly owner: Owner;
  /** Its file key under the final name; null = not placed: publishBlob does it with the part under `partKey`, or says why not. */
  readonly done: (key: string | null, partKey: string) => void;
};

/** Takes blobs one by one and places those together that wait. */
export type Placer = { readonly place: (placing: Placing) => void };

type Ready = { readonly placing: Placing; readonly part: string; readonly key: string };

const BATCH_FILES = 4;
const GATHER_MS = 30;
const OPEN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** `sync` flushes the file system, false = it could not; `verifiedKey` is the key of the verified blob under its final name. */
export function openPlacer(args: {
  readonly root: string;
  readonly sync: () => Promise<boolean>;
  readonly verifiedKey: (ref: BlobRef) => string | undefined;
}): Placer {
  const { root } = args;
  let waiting: Placing[] = [];
  let running = false;

  const run = async (): Promise<void> => {
    running = true;
    // Blobs come in crowds: those of one moment become durable together.
    for (await pause(GATHER_MS); waiting.length > 0; await pause(GATHER_MS)) {
      const batch = waiting;
      waiting = [];
      const ready = batch.flatMap((placing) => prepare(placing) ?? []);
      const whole = ready.length >= BATCH_FILES && (await args.sync());
      for (const one of ready) one.placing.done(finish(one, whole), one.key);
    }
    running = false;
  };

  /** What lies there unverified is evidence: publishBlob keeps it. */
  function hidesEvidence(ref: BlobRef): boolean {
    const old = lstatSync(blobFile(root, ref.digest), { bigint: true, throwIfNoEntry: false });
    return old !== undefined && fileKeyOf(old) !== args.verifiedKey(ref);
  }

  /** Gives the part its owner, mode and time, if it still is the file that was verified. */
  function prepare(placing: Placing): Ready | null {
    const { ref, owner } = placing;
    const part = partFile(root, ref.digest);
    const key = orNull(() =>
      withFile(part, (fd) => {
        const stat = fstatSync(fd, { bigint: true });
        if (hidesEvidence(ref) || !stat.isFile() || fileKeyOf(stat) !== placing.key || stat.size !== BigInt(ref.sizeBytes)) return null;
        if (stat.uid !== BigInt(owner.uid) || stat.gid !== BigInt(owner.gid)) fchownSync(fd, owner.uid, owner.gid);
        fchmodSync(fd, FILE_MODE);
        const now = new Date();
        futimesSync(fd, now, now);
        return fileKeyOf(fstatSync(fd, { bigint: true }));
      }),
    );
    if (key !== null) return { placing, part, key };
    placing.done(null, placing.key);
    return null;
  }

  function finish({ placing, part, key }: Ready, flushed: boolean): string | null {
    const target = blobFile(root, placing.ref.digest);
    return orNull(() => {
      if (!flushed) withFile(part, fsyncSync);
      if (hidesEvidence(placing.ref) || keyOf(part) !== key) return null;
      renameSync(part, target);
      return keyOf(target);
    });
  }

  return {
    place: (placing) => {
      waiting.push(placing);
      if (!running) void run();
    },
  };
}

function withFile<T>(file: string, act: (fd: number) => T): T {
  const fd = openSync(file, OPEN);
  try {
    return act(fd);
  } finally {
    closeSync(fd);
  }
}

function keyOf(file: string): string {
  return fileKeyOf(lstatSync(file, { bigint: true }));
}

function orNull<T>(act: () => T): T | null {
  try {
    return act();
  } catch {
    return null;
  }
}
