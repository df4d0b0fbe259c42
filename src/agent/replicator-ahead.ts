// Blobs of a model that the active still downloads: fetched and verified into the stage while no manifest names them, so that the model is
// here soon after its manifest. What is wanted for a model joins a fetch that runs (see replicator-blobs.ts).
import { SMALL_BLOB_BYTES } from '../core/replication/sizes.ts';
import type { FetchBlobAhead, Sha256 } from '../core/replication/types.ts';
import type { NodeId } from '../core/types.ts';
import type { BlobLine, BlobNews } from './replicator-blobs.ts';
import type { Pause, ReplicatorLog } from './replicator-ports.ts';
import { stopOf } from './replicator-stop.ts';

/** One blob on its way. */
export type AheadRow = {
  readonly digest: Sha256;
  readonly totalBytes: number;
  readonly doneBytes: number;
  readonly from: NodeId | '';
  readonly note: string;
};

/** Blobs ahead, level triggered. */
export type Ahead = {
  /** `linger`: a blob that is no longer wanted may belong to a model that was just ordered, and gets a moment to be joined. */
  readonly apply: (wanted: readonly FetchBlobAhead[], linger: boolean) => void;
  readonly rows: () => readonly AheadRow[];
  readonly close: () => Promise<void>;
};

type Job = {
  readonly order: FetchBlobAhead;
  readonly stop: AbortController;
  done: boolean;
  running: boolean;
  news: BlobNews;
  ended: Promise<void>;
};

const SMALL_AT_ONCE = 8;
const LINGER_MS = 10_000;
const RETRY_MS = 10_000;
const NO_NEWS: BlobNews = { doneBytes: 0, phase: 'waiting', from: '', note: '' };

/** `largeAtOnce`: blobs that may take a place beside those of models. */
export function createAhead(args: {
  readonly line: BlobLine;
  readonly largeAtOnce: number;
  readonly pause: Pause;
  readonly log: ReplicatorLog;
}): Ahead {
  const { line, pause, log } = args;
  const jobs = new Map<Sha256, Job>();
  let wanted: readonly FetchBlobAhead[] = [];
  let closed = false;

  const isSmall = (order: FetchBlobAhead) => order.sizeBytes <= SMALL_BLOB_BYTES;
  const running = (small: boolean) => [...jobs.values()].filter((job) => job.running && isSmall(job.order) === small).length;

  function pump(): void {
    for (const order of wanted) {
      const small = isSmall(order);
      if (closed || jobs.has(order.digest) || running(small) >= (small ? SMALL_AT_ONCE : args.largeAtOnce)) continue;
      const job: Job = { order, stop: new AbortController(), done: false, running: true, news: NO_NEWS, ended: Promise.resolve() };
      jobs.set(order.digest, job);
      job.ended = bring(job);
    }
  }

  /** Never rejects. */
  async function bring(job: Job): Promise<void> {
    const { order, stop } = job;
    const { digest, sizeBytes } = order;
    const result = await line.hold(order, order.sources, stopOf(stop.signal), (news) => {
      job.news = news;
    });
    job.done = result.k !== 'failed';
    job.running = false;
    if (result.k === 'held')
      log('info', 'replication_ahead', `blob ${digest} is here before its model, ${result.receivedBytes} bytes received`, {
        digest,
        bytes: sizeBytes,
      });
    if (result.k === 'failed' && !stop.signal.aborted) {
      job.news = { ...NO_NEWS, note: result.reason };
      pump();
      await pause(RETRY_MS, stop.signal).catch(() => undefined);
    }
    if (result.k === 'failed') jobs.delete(digest);
    pump();
  }

  async function drop(job: Job, linger: boolean): Promise<void> {
    if (linger && job.running) await pause(LINGER_MS, job.stop.signal).catch(() => undefined);
    if (linger && wanted.some((order) => order.digest === job.order.digest)) return;
    job.stop.abort();
    if (jobs.get(job.order.digest) === job && job.done) jobs.delete(job.order.digest);
  }

  return {
    apply: (next, linger) => {
      if (closed || next === wanted) return;
      wanted = next;
      const digests = new Set(next.map((order) => order.digest));
      for (const job of jobs.values()) if (!digests.has(job.order.digest)) void drop(job, linger);
      pump();
    },
    rows: () =>
      [...jobs.values()]
        .filter((job) => !job.done)
        .map(({ order, news }) => ({
          digest: order.digest,
          totalBytes: order.sizeBytes,
          doneBytes: news.doneBytes,
          from: news.from,
          note: news.note,
        })),
    close: async () => {
      closed = true;
      for (const job of jobs.values()) job.stop.abort();
      await Promise.all([...jobs.values()].map((job) => job.ended));
    },
  };
}
