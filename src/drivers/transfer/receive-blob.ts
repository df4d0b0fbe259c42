// One blob, from whoever has it, into one part file: resumed where it stopped, whoever sent the rest, and checked against its digest.
//
// A blob that one source alone can give comes in one stream and is hashed as it comes. As soon as a second node has it, or fetches it too,
// the rest comes in chunks (swarm.ts).
//
// Blame: bytes that came from one source alone and do not have the digest convict that source. Where a restart or several sources had a hand
// in it nobody can be named by the digest; then a large blob is checked chunk by chunk, and a small one is taken anew, whole, from one source
// at a time ("alone").
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { fileKeyOf } from '../../core/replication/names.ts';
import { SMALL_BLOB_BYTES } from '../../core/replication/sizes.ts';
import type { NodeId } from '../../core/types.ts';
import { type ChunkMap, createChunkMap } from './chunk-map.ts';
import type { Connection } from './connection.ts';
import { openEarlyFlush } from './early-flush.ts';
import { type Intake, openIntake } from './intake.ts';
import type { Limit } from './limit.ts';
import type { Blame, Peer, ReceiveOrder, ReceiveOutcome, ReceiveProgress, SharedPart } from './messages.ts';
import { askHolding } from './peer-chunks.ts';
import { CHUNK_BYTES, type ReplyHead } from './protocol.ts';
import type { Sink } from './sink-link.ts';
import { receiveChunks } from './swarm.ts';
import { throttledBody } from './throttle.ts';

/** What receiving needs of its thread. `lend` gives a connection that no other blob uses, `giveBack` takes it after a whole answer. */
export type ReceiveContext = {
  readonly self: NodeId;
  readonly lend: (source: Peer, signal: AbortSignal) => Promise<Connection>;
  readonly giveBack: (source: Peer, connection: Connection) => void;
  readonly limit: Limit;
  readonly sink: Sink;
  /** Makes a whole part durable. */
  readonly flush: (handle: FileHandle) => Promise<void>;
  /** Begins or ends serving the good chunks of this blob. */
  readonly share: (part: SharedPart | null) => void;
  readonly progress: (progress: ReceiveProgress) => void;
};

/** From this size on a blob comes in chunks when several nodes can help. */
const CHUNKED_BYTES = 8 * CHUNK_BYTES;
/** A part with this mode has holes: its length says nothing about what is in it. Left by a process that was killed. */
const MODE_WITH_HOLES = 0o700;
const MODE = 0o600;
/** Pauses between the first questions whether others come, ms: standbys hear of a model at about the same time. */
const ASK_MS = [50, 50, 100, 100, 200, 250, 250, 250, 250, 250];
const ASK_SLOW_MS = 1000;

type Run = {
  readonly order: ReceiveOrder;
  readonly context: ReceiveContext;
  readonly signal: AbortSignal;
  readonly handle: FileHandle;
  readonly intake: Intake;
  readonly wrote: (bytes: number) => void;
  readonly map: ChunkMap;
  readonly blamed: Map<NodeId, Blame>;
  /** Aborted when others fetch the blob too: the stream ends, the rest comes in chunks. */
  readonly company: AbortController;
  /** Who sent the bytes below the intake's position; null = a former life did, at least in part. */
  senders: Set<NodeId> | null;
  alone: boolean;
  from: NodeId | '';
  receivedBytes: number;
};

/** Receives until the part is whole, verified, and flushed unless small, or no source is left. The part stays for a later attempt, unless it is wrong. */
export async function receiveBlob(order: ReceiveOrder, context: ReceiveContext, signal: AbortSignal): Promise<ReceiveOutcome> {
  let handle: FileHandle | null = null;
  let run: Run | null = null;
  let done = false;
  try {
    signal.throwIfAborted();
    handle = await open(order.file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, MODE);
    const stat = await handle.stat({ bigint: true });
    if (!stat.isFile()) throw new Error('the part is not a regular file');
    if (stat.size > order.sizeBytes) await handle.truncate(0);
    const presentBytes = stat.size > order.sizeBytes ? 0 : Number(stat.size);
    run = openRun(order, context, signal, handle, presentBytes);
    if (isShared(order))
      context.share({ file: order.file, inode: String(stat.ino), sizeBytes: order.sizeBytes, have: run.map.have, coming: run.map.coming });
    const outcome = await receive(run, presentBytes, (Number(stat.mode) & 0o100) !== 0);
    done = outcome.k === 'done';
    return outcome;
  } catch (error) {
    return failureOf(error, signal);
  } finally {
    run?.company.abort();
    if (!done && isShared(order)) context.share(null);
    await run?.intake.close();
    await handle?.close();
  }
}

function openRun(order: ReceiveOrder, context: ReceiveContext, signal: AbortSignal, handle: FileHandle, presentBytes: number): Run {
  const senders = presentBytes === 0 ? new Set<NodeId>() : null;
  const map = createChunkMap(order.sizeBytes);
  const wrote = openEarlyFlush(context.flush, handle);
  const intake = openIntake({ sink: context.sink, wrote, handle, start: 0, length: order.sizeBytes });
  const company = new AbortController();
  return {
    order,
    context,
    signal,
    handle,
    intake,
    wrote,
    map,
    blamed: new Map(),
    company,
    senders,
    alone: false,
    from: '',
    receivedBytes: 0,
  };
}

function isChunked(order: ReceiveOrder): boolean {
  return order.sizeBytes >= CHUNKED_BYTES;
}

function isShared(order: ReceiveOrder): boolean {
  return isChunked(order) && order.mates.length > 0;
}

async function receive(run: Run, presentBytes: number, holes: boolean): Promise<ReceiveOutcome> {
  const { order } = run;
  if (isChunked(order) && (holes || order.sources.length > 1)) return inChunks(run, presentBytes);
  await absorb(run, presentBytes);
  if (isShared(order)) void lookForCompany(run);
  return toTheEnd(run);
}

/** Hashes what an earlier life received. */
async function absorb({ intake, context, signal }: Run, presentBytes: number): Promise<void> {
  let doneBytes = 0;
  const stop = () => void intake.close();
  signal.addEventListener('abort', stop, { once: true });
  await intake.absorb(presentBytes, (bytes) => {
    doneBytes += bytes;
    context.progress({ doneBytes, phase: 'verify', from: '' });
  });
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
}

/** Asks the others now and then whether they have, or fetch, this blob. */
async function lookForCompany(run: Run): Promise<void> {
  const { order, context, company } = run;
  const signal = AbortSignal.any([run.signal, company.signal]);
  const look = async (mate: Peer): Promise<void> => {
    for (let asked = 0; !signal.aborted; asked += 1) {
      if ((await askHolding(context, mate, order, signal).catch(() => null)) !== null) return company.abort();
      await pause(ASK_MS[asked] ?? ASK_SLOW_MS, undefined, { signal }).catch(() => undefined);
    }
  };
  await Promise.all(order.mates.map(look));
}

/** What is on disk counts once it is checked, whatever it is. */
async function inChunks(run: Run, presentBytes: number): Promise<ReceiveOutcome> {
  const { order, context, handle, map, signal, blamed, wrote } = run;
  await handle.chmod(MODE_WITH_HOLES);
  for (let chunk = 0; chunk < map.count; chunk += 1) if (chunk * CHUNK_BYTES < presentBytes) map.set(chunk, 'doubtful');
  // A file that ends within a chunk is made as long as the blob, so that every chunk can be read.
  await handle.truncate(order.sizeBytes);
  const received = (bytes: number, from: NodeId) => {
    run.receivedBytes += bytes;
    run.from = from;
  };
  if (!(await receiveChunks({ order, context, handle, map, signal, blamed, received, wrote }))) return exhausted(run);
  await handle.chmod(MODE);
  return done(run);
}

async function done(run: Run): Promise<ReceiveOutcome> {
  const { order, context, handle, from } = run;
  context.progress({ doneBytes: order.sizeBytes, phase: 'flush', from });
  if (order.sizeBytes > SMALL_BLOB_BYTES) await context.flush(handle);
  const key = fileKeyOf(await handle.stat({ bigint: true }));
  return { k: 'done', key, from, receivedBytes: run.receivedBytes, blamed: [...run.blamed.values()] };
}

async function toTheEnd(run: Run): Promise<ReceiveOutcome> {
  const { order, intake, company } = run;
  for (;;) {
    while (intake.position() < order.sizeBytes) {
      if (company.signal.aborted) return inChunks(run, intake.position());
      if (!(await oneRound(run))) return exhausted(run);
    }
    if ((await intake.digest()) === order.digest) return done(run);
    if (order.sizeBytes === 0) return { k: 'failed', cause: 'sources', reason: 'an empty blob cannot have this digest', blamed: [] };
    convictSender(run);
    if (isChunked(order)) return inChunks(run, order.sizeBytes);
    await startOver(run);
  }
}

/** Bytes of one sender alone that are wrong are that sender's. */
function convictSender(run: Run): void {
  const [only, ...others] = run.senders ?? [];
  if (only === undefined || others.length > 0) run.alone = true;
  else run.blamed.set(only, { node: only, reason: 'sent bytes that do not have the digest', corrupt: true });
}

async function startOver(run: Run): Promise<void> {
  await run.intake.reset();
  run.senders = new Set();
}

/** Tries each source once; false when none brought a single byte. */
async function oneRound(run: Run): Promise<boolean> {
  const { intake, order } = run;
  let progressed = false;
  for (const source of order.sources) {
    if (run.blamed.get(source.node)?.corrupt === true) continue;
    if (run.alone && intake.position() > 0 && run.senders?.has(source.node) !== true) {
      await startOver(run);
    }
    const before = run.receivedBytes;
    await fromSource(run, source);
    progressed ||= run.receivedBytes > before;
    if (intake.position() === order.sizeBytes || run.company.signal.aborted) return true;
  }
  // Alone, a source that drops midway is no progress: each round would start over without an end.
  return progressed && !run.alone;
}

/** Reads the rest from one source. A source that fails is blamed and left; what cannot be written here is thrown. */
async function fromSource(run: Run, source: Peer): Promise<void> {
  const { order, context, intake, company } = run;
  const signal = AbortSignal.any([run.signal, company.signal]);
  let connection: Connection | null = null;
  const body = throttledBody({
    intake,
    limit: context.limit,
    resume: () => connection?.resume(),
    took: (bytes) => {
      run.receivedBytes += bytes;
      run.from = source.node;
      run.senders?.add(source.node);
      context.progress({ doneBytes: intake.position() + bytes, phase: 'receive', from: source.node });
    },
  });
  try {
    connection = await context.lend(source, signal);
    const offset = intake.position();
    const length = order.sizeBytes - offset;
    const fits = (head: ReplyHead) => head.sizeBytes === order.sizeBytes && head.length === length;
    const result = await connection.get({ request: { k: 'get', digest: order.digest, offset, length }, fits, body, signal });
    if (result.k === 'wrong') run.blamed.set(source.node, { node: source.node, reason: result.reason, corrupt: false });
    context.giveBack(source, connection);
  } catch (error) {
    connection?.close();
    run.signal.throwIfAborted();
    const ours = body.failure() !== null || company.signal.aborted;
    if (!ours) run.blamed.set(source.node, { node: source.node, reason: textOf(error), corrupt: false });
  } finally {
    await intake.flush();
  }
}

function exhausted(run: Run): ReceiveOutcome {
  const blamed = [...run.blamed.values()];
  const reason = blamed.map(({ node, reason: why }) => `${node}: ${why}`).join('; ');
  return { k: 'failed', cause: 'sources', reason: reason === '' ? 'no source to ask' : reason, blamed };
}

/** What the disk threw, or the end of the wish. */
export function failureOf(error: unknown, signal: AbortSignal): ReceiveOutcome {
  if (signal.aborted) return { k: 'failed', cause: 'aborted', reason: 'aborted', blamed: [] };
  const code = error instanceof Error && 'code' in error ? error.code : '';
  const cause = code === 'ENOSPC' || code === 'EDQUOT' ? 'full' : 'disk';
  return { k: 'failed', cause, reason: textOf(error), blamed: [] };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
