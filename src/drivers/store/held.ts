// Blobs that are whole and verified before anybody knows their model. They wait in the stage, where Ollama never looks: under blobs/, its
// start-up prune would delete what no manifest names. Beside each part lies its file key, so that a restart need not read it again.
import { constants } from 'node:fs';
import { lstat, readdir, unlink } from 'node:fs/promises';
import { fileKeyOf, isSha256 } from '../../core/replication/names.ts';
import type { Sha256 } from '../../core/replication/types.ts';
import { type Owner, openRegular, writeDurably } from './durable.ts';
import { heldFile, partFile, stageDir } from './layout.ts';

/** The held parts of one store. Functions throw what the file system throws. */
export type Held = {
  /** Remembers that the part is whole, verified and flushed. */
  readonly hold: (digest: Sha256, key: string, owner: Owner) => Promise<void>;
  /** The file key of a part that is held and still the file that was verified, else null. */
  readonly keyOf: (digest: Sha256) => Promise<string | null>;
  /** The part is no longer held: it was published. */
  readonly letGo: (digest: Sha256) => Promise<void>;
  /** Deletes held parts older than `maxAgeMs`, but those in `keep`. Returns whether any went. */
  readonly drop: (maxAgeMs: number, keep: ReadonlySet<Sha256>, nowMs: number) => Promise<boolean>;
};

const NAME = /^sha256-([0-9a-f]{64})\.held$/;
const KEY_BYTES_MAX = 100;
const MODE = 0o600;

/** Opens what an earlier life held. A stage that cannot be read holds nothing. */
export async function openHeld(root: string): Promise<Held> {
  const names = await readdir(stageDir(root)).catch(() => []);
  // Thousands of blobs ask; few are held.
  const held = new Set<Sha256>(names.flatMap((name) => NAME.exec(name)?.[1] ?? []).filter(isSha256));

  const letGo = async (digest: Sha256): Promise<void> => {
    if (held.delete(digest)) await unlink(heldFile(root, digest)).catch(() => undefined);
  };
  return {
    hold: async (digest, key, owner) => {
      await writeDurably(heldFile(root, digest), Buffer.from(key), MODE, owner);
      held.add(digest);
    },
    keyOf: async (digest) => (held.has(digest) ? keyIfSame(root, digest) : null),
    letGo,
    drop: async (maxAgeMs, keep, nowMs) => {
      let dropped = false;
      for (const digest of [...held].filter((one) => !keep.has(one))) {
        const since = (await lstat(heldFile(root, digest)).catch(() => null))?.mtimeMs ?? 0;
        if (nowMs - since < maxAgeMs) continue;
        await unlink(partFile(root, digest)).then(
          () => {
            dropped = true;
          },
          () => undefined,
        );
        await letGo(digest);
      }
      return dropped;
    },
  };
}

async function keyIfSame(root: string, digest: Sha256): Promise<string | null> {
  try {
    const handle = await openRegular(heldFile(root, digest), constants.O_RDONLY);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(KEY_BYTES_MAX)).finally(() => handle.close());
    const key = buffer.toString('latin1', 0, bytesRead);
    return fileKeyOf(await lstat(partFile(root, digest), { bigint: true })) === key ? key : null;
  } catch {
    return null;
  }
}
