// One blob, from whoever has it, into one part file: resumed where it stopped, whoever sent the rest, and checked against its digest once.
//
// Blame: bytes that came from one source alone and do not have the digest convict that source. Where a restart or several sources had a hand
// in it nobody can be named; then the copy starts over and takes the whole from one source at a time ("alone").
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { fileKeyOf } from '../../core/replication/names.ts';
import type { NodeId } from '../../core/types.ts';
import type { Connection } from './connection.ts';
import { type Intake, openIntake } from './intake.ts';
import type { Limit } from './limit.ts';
import type { Blame, ReceiveOrder, ReceiveOutcome, ReceiveProgress } from './messages.ts';

type Source = ReceiveOrder['sources'][number];

/** What receiving needs of its thread. `lend` gives a connection that no other blob uses, `giveBack` takes it after a whole answer. */
export type ReceiveContext = {
  readonly lend: (source: Source, signal: AbortSignal) => Promise<Connection>;
  readonly giveBack: (source: Source, connection: Connection) => void;
  readonly limit: Limit;
  readonly progress: (progress: ReceiveProgress) => void;
};

type Run = {
  readonly order: ReceiveOrder;
  readonly context: ReceiveContext;
  readonly signal: AbortSignal;
  readonly handle: FileHandle;
  readonly intake: Intake;
  readonly blamed: Map<NodeId, Blame>;
  /** Who sent the bytes below the intake's position; null = a former life did, at least in part. */
  senders: Set<NodeId> | null;
  alone: boolean;
  receivedBytes: number;
};

/** Receives until the part is whole, flushed and verified, or no source is left. The part stays for a later attempt, unless it is wrong. */
export async function receiveBlob(order: ReceiveOrder, context: ReceiveContext, signal: AbortSignal): Promise<ReceiveOutcome> {
  let handle: FileHandle | null = null;
  try {
    signal.throwIfAborted();
    handle = await open(order.file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    if (!(await handle.stat()).isFile()) throw new Error('the part is not a regular file');
    if ((await handle.stat()).size > order.sizeBytes) await handle.truncate(0);
    const intake = await openIntake(handle, signal, (doneBytes) => context.progress({ doneBytes, phase: 'verify', from: '' }));
    const senders = intake.position() === 0 ? new Set<NodeId>() : null;
    return await toTheEnd({ order, context, signal, handle, intake, blamed: new Map(), senders, alone: false, receivedBytes: 0 });
  } catch (error) {
    return failureOf(error, signal);
  } finally {
    await handle?.close();
  }
}

async function toTheEnd(run: Run): Promise<ReceiveOutcome> {
  const { order, intake, context } = run;
  for (;;) {
    while (intake.position() < order.sizeBytes) {
      if (!(await oneRound(run))) return exhausted(run);
    }
    const from = run.senders === null ? '' : ([...run.senders][0] ?? '');
    context.progress({ doneBytes: order.sizeBytes, phase: 'flush', from });
    if ((await intake.digest()) === order.digest) {
      await run.handle.sync();
      const key = fileKeyOf(await run.handle.stat({ bigint: true }));
      return { k: 'done', key, from, receivedBytes: run.receivedBytes, blamed: [...run.blamed.values()] };
    }
    if (order.sizeBytes === 0) return { k: 'failed', cause: 'sources', reason: 'an empty blob cannot have this digest', blamed: [] };
    await startOver(run);
  }
}

/** The bytes are wrong: convict their one sender, or take the whole from one source at a time from now on. */
async function startOver(run: Run): Promise<void> {
  const [only, ...others] = run.senders ?? [];
  if (only !== undefined && others.length === 0) {
    run.blamed.set(only, { node: only, reason: 'sent bytes that do not have the digest', corrupt: true });
  } else {
    run.alone = true;
  }
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
      await intake.reset();
      run.senders = new Set();
    }
    const before = run.receivedBytes;
    await fromSource(run, source);
    progressed ||= run.receivedBytes > before;
    if (intake.position() === order.sizeBytes) return true;
  }
  // Alone, a source that drops midway is no progress: each round would start over without an end.
  return progressed && !run.alone;
}

/** Reads the rest from one source. A source that fails is blamed and left; what cannot be written here is thrown. */
async function fromSource(run: Run, source: Source): Promise<void> {
  const { order, context, intake, signal } = run;
  let connection: Connection | null = null;
  let local: unknown = null;
  const take = (bytes: Buffer): boolean => {
    try {
      run.receivedBytes += bytes.length;
      run.senders?.add(source.node);
      const room = intake.push(bytes);
      const waitMs = context.limit.take(bytes.length);
      context.progress({ doneBytes: intake.position(), phase: 'receive', from: source.node });
      if (room && waitMs === 0) return true;
      void resumeLater(room ? null : intake, waitMs, () => connection?.resume());
      return false;
    } catch (error) {
      local = error;
      throw error;
    }
  };
  try {
    connection = await context.lend(source, signal);
    const offset = intake.position();
    const request = { digest: order.digest, offset, length: order.sizeBytes - offset };
    const result = await connection.get({ request, sizeBytes: order.sizeBytes, take, signal });
    if (result.k === 'wrong') run.blamed.set(source.node, { node: source.node, reason: result.reason, corrupt: false });
    if (connection.usable()) context.giveBack(source, connection);
  } catch (error) {
    connection?.close();
    signal.throwIfAborted();
    if (local === null) run.blamed.set(source.node, { node: source.node, reason: textOf(error), corrupt: false });
  } finally {
    await intake.flush();
  }
}

async function resumeLater(intake: Intake | null, waitMs: number, resume: () => void): Promise<void> {
  await intake?.ready();
  if (waitMs > 0) setTimeout(resume, waitMs);
  else resume();
}

function exhausted(run: Run): ReceiveOutcome {
  const blamed = [...run.blamed.values()];
  const reason = blamed.map(({ node, reason: why }) => `${node}: ${why}`).join('; ');
  return { k: 'failed', cause: 'sources', reason: reason === '' ? 'no source to ask' : reason, blamed };
}

function failureOf(error: unknown, signal: AbortSignal): ReceiveOutcome {
  if (signal.aborted) return { k: 'failed', cause: 'aborted', reason: 'aborted', blamed: [] };
  const code = error instanceof Error && 'code' in error ? error.code : '';
  const cause = code === 'ENOSPC' || code === 'EDQUOT' ? 'full' : 'disk';
  return { k: 'failed', cause, reason: textOf(error), blamed: [] };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
