// The agent's own little files: state.json and history.jsonl outlive a reboot, claim.json tells the stop hook whom to release.
import { appendFile, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import type { StatePort } from '../../agent/ports.ts';
import type { SavedState } from '../../core/config.ts';
import { isFailure, MEMORY_MS } from '../../core/flap.ts';
import { isSameEvent, readEntry } from '../../core/history.ts';
import type { HistoryEntry } from '../../core/io.ts';
import type { Roster } from '../../core/lease/types.ts';
import { checkSettings } from '../../core/settings/record.ts';
import { NO_SETTINGS, type Settings } from '../../core/settings/types.ts';
import type { NodeId } from '../../core/types.ts';

/** What the stop hook needs to fence and release without the agent, its configuration or its modules. No secrets, only paths to them. */
export type ClaimFacts = {
  readonly cluster: string;
  readonly driver: 'keepalived' | 'address' | 'none';
  /** With prefix lengths; `address` is one of `addresses`. */
  readonly vip: { readonly address: string; readonly addresses: readonly string[]; readonly interface: string } | null;
  readonly redis: readonly {
    readonly name: string;
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly passwordFile: string | null;
    readonly secretFile: string | null;
    /** Paths of PEM files; null parts where the server is not one of ours. */
    readonly tls: { readonly ca: string | null; readonly cert: string | null; readonly key: string | null } | null;
  }[];
};

/** Open state files. */
export type StateFiles = {
  /** Incarnation of this process: at least the wall clock, and higher than any before. */
  readonly boot: number;
  /** Highest epoch ever persisted; 0 = none. */
  readonly epochOnDisk: number;
  /** What else earlier processes left. */
  readonly saved: SavedState;
  readonly port: StatePort;
  /** Takes lines that others recorded, such as those in Redis; known ones are skipped. */
  learnHistory(entries: readonly HistoryEntry[]): void;
  /** Newest last, at most HISTORY_MAX. */
  history(): readonly HistoryEntry[];
  /** The lease is released: nothing is left to release. */
  clearClaim(): void;
};

const HISTORY_MAX = 256;
const HISTORY_BYTES_MAX = 1_048_576;

type Saved = { boot: number; epoch: number; settings: Settings; roster: Roster | null };

/**
 * Opens (and creates) the files and counts this start as a new boot. Throws the file system's error when a directory cannot be written:
 * without it neither epochs nor boots can be kept apart. `wallMs` is the wall clock now.
 */
export function openState(opts: {
  readonly stateDir: string;
  readonly runDir: string;
  readonly node: NodeId;
  readonly wallMs: number;
  readonly claim: ClaimFacts;
  /** The lease that an earlier process handed on: it is that one's claim which the stop hook must release. */
  readonly handedOn?: { readonly boot: number; readonly epoch: number } | null;
  readonly log: (text: string) => void;
}): StateFiles {
  mkdirSync(opts.stateDir, { recursive: true, mode: 0o750 });
  mkdirSync(opts.runDir, { recursive: true, mode: 0o755 });
  const statePath = join(opts.stateDir, 'state.json');
  const historyPath = join(opts.stateDir, 'history.jsonl');
  const claimPath = join(opts.runDir, 'claim.json');
  const before = readSaved(statePath, opts.log);
  let saved: Saved = { ...before, boot: Math.max(Math.floor(opts.wallMs), before.boot + 1) };
  write(statePath, saved);
  const me = `${opts.node}#${opts.handedOn?.boot ?? saved.boot}`;
  const claimOf = (epoch: number) => JSON.stringify({ me, epoch, ...opts.claim });
  let history = readHistory(historyPath);
  write(claimPath, claimOf(opts.handedOn?.epoch ?? 0), 0o640);
  const add = (entries: readonly HistoryEntry[]): void => {
    const fresh: HistoryEntry[] = [];
    for (const entry of entries) {
      const isKnown = (known: HistoryEntry) => isSameEvent(known, entry);
      if (!history.some(isKnown) && !fresh.some(isKnown)) fresh.push(entry);
    }
    if (fresh.length === 0) return;
    history = inOrder([...history, ...fresh]);
    appendFile(historyPath, fresh.map((entry) => `${JSON.stringify(entry)}\n`).join(''), { mode: 0o640 }, (error) => {
      if (error !== null) opts.log(`history: ${historyPath}: ${error.message}`);
    });
  };
  return {
    boot: saved.boot,
    epochOnDisk: before.epoch,
    saved: {
      settings: before.settings,
      roster: before.roster,
      historyEpoch: history.reduce((max, entry) => Math.max(max, entry.epoch), 0),
      losses: lossesOf(history, opts.wallMs),
    },
    learnHistory: add,
    history: () => history,
    clearClaim: () => write(claimPath, claimOf(0), 0o640),
    port: {
      persistEpoch(epoch) {
        if (epoch <= saved.epoch) return;
        saved = { ...saved, epoch };
        write(statePath, saved);
      },
      writeClaim(epoch) {
        write(claimPath, claimOf(epoch), 0o640);
      },
      persistSettings(settings) {
        saved = { ...saved, settings };
        write(statePath, saved);
      },
      persistRoster(roster) {
        saved = { ...saved, roster };
        write(statePath, saved);
      },
      appendHistory: (entry) => add([entry]),
    },
  };
}

// The epoch on disk is the third line of defence, behind Redis' `hi` and gossip: it must never be half-written, but it need not wait for the
// platter in the middle of an election. So: rename always, fsync never.
function write(path: string, content: Saved | string, mode = 0o640): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileAtomic.sync(path, typeof content === 'string' ? content : `${JSON.stringify(content)}\n`, { mode, fsync: false });
}

function readSaved(path: string, log: (text: string) => void): Saved {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NOTHING;
    throw error;
  }
  try {
    const raw = JSON.parse(text) as Partial<Record<keyof Saved, unknown>>;
    const { boot, epoch } = raw;
    if (isCount(boot) && isCount(epoch))
      return { boot, epoch, settings: checkSettings(raw.settings) ?? NO_SETTINGS, roster: checkRoster(raw.roster) };
  } catch {
    // Falls through to the same answer as any other malformed content.
  }
  const aside = `${path}.damaged`;
  renameSync(path, aside);
  log(`state: ${path} is damaged and was set aside as ${aside}; epochs go on from Redis, gossip and the wall clock`);
  return NOTHING;
}

const NOTHING: Saved = { boot: 0, epoch: 0, settings: NO_SETTINGS, roster: null };
const ROSTER_MAX = 256;

function checkRoster(raw: unknown): Roster | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const { epoch, version, nodes } = raw as Partial<Record<keyof Roster, unknown>>;
  if (!isCount(epoch) || !isCount(version) || !Array.isArray(nodes) || nodes.length === 0 || nodes.length > ROSTER_MAX) return null;
  return nodes.every((node) => typeof node === 'string' && node.length <= 63) ? { epoch, version, nodes } : null;
}

/** Who lost the role lately by no order, from what is on disk: the back-off outlives the crash that it is about. */
function lossesOf(history: readonly HistoryEntry[], wallMs: number): SavedState['losses'] {
  return history
    .filter((entry) => entry.from !== '' && isFailure(entry.cause) && entry.atMs <= wallMs && wallMs - entry.atMs <= MEMORY_MS)
    .map((entry) => ({ node: entry.from, agoMs: wallMs - entry.atMs }));
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function readHistory(path: string): readonly HistoryEntry[] {
  let text: string;
  try {
    if (statSync(path).size > HISTORY_BYTES_MAX) renameSync(path, `${path}.1`);
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  const entries: HistoryEntry[] = [];
  for (const line of text.split('\n').slice(-HISTORY_MAX - 1)) {
    // A line cut by a crash is skipped; the others stand.
    const entry = readEntry(line);
    if (entry !== null) entries.push(entry);
  }
  return inOrder(entries);
}

function inOrder(entries: readonly HistoryEntry[]): readonly HistoryEntry[] {
  return [...entries].sort((a, b) => a.epoch - b.epoch || a.atMs - b.atMs).slice(-HISTORY_MAX);
}
