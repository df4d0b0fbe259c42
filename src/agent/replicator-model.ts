// Brings one model here: its manifest, its blobs, and last of all its name. One straight line of waits with a signal.
import type { BlobRef, FetchModel } from '../core/replication/types.ts';
import type { NodeId } from '../core/types.ts';
import type { TransferProgress } from './ports.ts';
import type { BlobLine, BlobNews } from './replicator-blobs.ts';
import type { FetchManifest, ReplicatorStore } from './replicator-ports.ts';
import { stopOf } from './replicator-stop.ts';
import type { Swap } from './replicator-swap.ts';

/** How one attempt ended. */
export type ModelResult = { readonly k: 'published' } | { readonly k: 'failed'; readonly reason: string };

/** The running figures of one model, written here and read by status. */
export type Tally = {
  phase: TransferProgress['phase'];
  from: NodeId;
  note: string;
  totalBytes: number;
  doneBytes: number;
  /** Bytes that came over the wire for this model. */
  receivedBytes: number;
};

/** What an attempt needs. */
export type ModelTools = {
  readonly store: ReplicatorStore;
  readonly line: BlobLine;
  readonly fetchManifest: FetchManifest;
  /** Runs `publish` while no runner holds the old weights of this model. */
  readonly swap: Swap;
};

/** Blobs can vanish under us when Ollama deletes another model; so often it is tried again at once. */
const PUBLISH_ROUNDS = 3;
/** Blobs of one model that are asked for at the same time: more than the disk and the wire take at once. */
const BLOBS_AT_ONCE = 512;

/** One attempt. Throws only when `signal` aborts or the disk fails. */
export async function bringModel(tools: ModelTools, order: FetchModel, tally: Tally, signal: AbortSignal): Promise<ModelResult> {
  const { store } = tools;
  tally.phase = 'manifest';
  const manifest = await manifestOf(tools, order, signal);
  if ('reason' in manifest) return { k: 'failed', reason: manifest.reason };
  tally.totalBytes = manifest.blobs.reduce((sum, ref) => sum + ref.sizeBytes, 0);
  tally.doneBytes = 0;
  for (let round = 1, wanted = manifest.blobs; ; round += 1) {
    tally.phase = 'blobs';
    const trouble = await bringBlobs(tools.line, wanted, order.sources, tally, signal);
    signal.throwIfAborted();
    if (trouble !== null) return { k: 'failed', reason: trouble };
    if (order.blobsOnly === true) return { k: 'published' };
    tally.phase = 'publish';
    const publish = () => store.publishModel({ path: order.path, digest: order.manifestDigest, bytes: manifest.bytes });
    const result = await tools.swap(order, publish, signal);
    if (result.k === 'published') return result;
    if (result.k === 'refused') return { k: 'failed', reason: result.reason };
    if (round === PUBLISH_ROUNDS) return { k: 'failed', reason: `${result.missing.length} blobs vanished while the model was published` };
    wanted = result.missing;
    tally.doneBytes -= wanted.reduce((sum, ref) => sum + ref.sizeBytes, 0);
  }
}

type Manifest = { readonly bytes: Uint8Array; readonly blobs: readonly BlobRef[] };

/** From the first source that has exactly this one. */
async function manifestOf(tools: ModelTools, order: FetchModel, signal: AbortSignal): Promise<Manifest | { readonly reason: string }> {
  const reasons: string[] = [];
  for (const source of order.sources) {
    try {
      const bytes = await tools.fetchManifest(source, order.path, order.manifestDigest, signal);
      const manifest = tools.store.parseManifest(bytes);
      if ('fault' in manifest) reasons.push(`${source}: its manifest is not usable: ${manifest.fault}`);
      else if (manifest.digest !== order.manifestDigest) reasons.push(`${source}: sent another manifest`);
      else return { bytes, blobs: manifest.blobs };
    } catch (error) {
      signal.throwIfAborted();
      reasons.push(`${source}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { reason: `no manifest: ${reasons.join('; ')}` };
}

/** All blobs, or the first reason why not; then the others are let go, and what they have stays in their parts. */
async function bringBlobs(
  line: BlobLine,
  refs: readonly BlobRef[],
  sources: readonly NodeId[],
  tally: Tally,
  signal: AbortSignal,
): Promise<string | null> {
  const rest = new AbortController();
  const stop = stopOf(AbortSignal.any([signal, rest.signal]));
  let trouble: string | null = null;
  const bringOne = async (ref: BlobRef): Promise<void> => {
    const account = accountOf(tally);
    const result = await line.bring(ref, sources, stop, account.news);
    if (result.k !== 'failed') account.settle(ref.sizeBytes, result.receivedBytes);
    else {
      trouble ??= result.reason;
      rest.abort();
    }
  };
  const next = refs.values();
  const bringInTurn = async (): Promise<void> => {
    for (const ref of next) if (!stop.aborted()) await bringOne(ref);
  };
  await Promise.all(Array.from({ length: Math.min(refs.length, BLOBS_AT_ONCE) }, bringInTurn));
  return trouble;
}

type Account = { readonly news: (news: BlobNews) => void; readonly settle: (doneBytes: number, receivedBytes: number) => void };

/** One blob's share of the model's figures: estimates while it comes, exact when it is here. */
function accountOf(tally: Tally): Account {
  let done = 0;
  let received = 0;
  const settle = (doneBytes: number, receivedBytes: number) => {
    tally.doneBytes += doneBytes - done;
    tally.receivedBytes += receivedBytes - received;
    [done, received] = [doneBytes, receivedBytes];
  };
  return {
    settle,
    news: ({ doneBytes, phase, from, note }) => {
      tally.phase = phase === 'waiting' || phase === 'verify' ? phase : 'blobs';
      tally.note = note;
      if (from !== '') tally.from = from;
      settle(doneBytes, phase === 'receive' ? received + Math.max(0, doneBytes - done) : received);
    },
  };
}
