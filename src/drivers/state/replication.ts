// Little files of replication in paths.state: what an operator switched, and where the scrub stands. Lost files are defaults, never an error.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';

/** What an operator switched on this node. */
export type SavedSwitches = { readonly paused: boolean; readonly bytesPerSecondMax: number };

/** Where the scrub stands; `cursor` '' = between two passes. */
export type SavedCursor = { readonly doneAtMs: number; readonly cursor: string };

/** Both files. Writing throws what the file system throws. */
export type ReplicationFiles = {
  /** Null = nothing was ever switched. */
  readonly switches: SavedSwitches | null;
  readonly cursor: SavedCursor | null;
  readonly saveSwitches: (switches: SavedSwitches) => void;
  readonly saveCursor: (cursor: SavedCursor) => void;
};

/** Opens them in `stateDir`. */
export function openReplicationFiles(stateDir: string): ReplicationFiles {
  const [switchesFile, cursorFile] = [join(stateDir, 'replication.json'), join(stateDir, 'scrub.json')];
  const { paused, bytesPerSecondMax } = read(switchesFile);
  const { doneAtMs, cursor } = read(cursorFile);
  const rate = typeof bytesPerSecondMax === 'number' && Number.isSafeInteger(bytesPerSecondMax) && bytesPerSecondMax >= 0;
  const place = typeof cursor === 'string' && /^([0-9a-f]{64})?$/.test(cursor);
  return {
    switches: typeof paused === 'boolean' && rate ? { paused, bytesPerSecondMax } : null,
    cursor: typeof doneAtMs === 'number' && Number.isFinite(doneAtMs) && place ? { doneAtMs, cursor } : null,
    saveSwitches: (switches) => writeFileAtomic.sync(switchesFile, JSON.stringify(switches)),
    saveCursor: (next) => writeFileAtomic.sync(cursorFile, JSON.stringify(next), { fsync: false }),
  };
}

function read(file: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
