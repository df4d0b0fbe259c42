// `agentctl verify`: one pass over all or named models now, as fast as the disk goes, and on demand a wait until what is bad came from a peer.
import { displayName } from '../core/replication/names.ts';
import type { ModelPath } from '../core/replication/types.ts';
import type { BadBlob, VerifyView } from './control-replication.ts';
import type { Pause, ReplicatorLog } from './replicator-ports.ts';
import { blobsNamed, type NamedBlob, type ScrubStore } from './scrub.ts';

/** What a pass needs. */
export type VerifyParts = {
  readonly store: ScrubStore;
  /** Models that replication fetches, or would fetch, right now. */
  readonly fetching: () => ReadonlySet<ModelPath>;
  readonly log: ReplicatorLog;
  readonly pause: Pause;
};

/** A pass. `view` is how it stands; it ends by itself. */
export type VerifyPass = { readonly view: () => VerifyView; readonly ended: Promise<void> };

const LOOK_MS = 500;
/** Looks that a plan may take until it names the models of a bad blob. */
const PATIENCE = 20;

/** Starts a pass over the models of `paths`, null = all. */
export function startVerify(
  parts: VerifyParts,
  args: { readonly id: number; readonly paths: ReadonlySet<ModelPath> | null; readonly repair: boolean; readonly signal: AbortSignal },
): VerifyPass {
  const { store, log, pause } = parts;
  const { id, paths, signal } = args;
  const bad = new Map<string, NamedBlob & { state: BadBlob['state'] }>();
  const seen = { models: 0, blobs: 0, blobsDone: 0, bytes: 0, bytesDone: 0 };
  let phase: VerifyView['phase'] = 'reading';

  async function run(): Promise<void> {
    const models = (await store.list()).filter(({ path }) => paths === null || paths.has(path));
    const blobs = blobsNamed(models);
    seen.models = models.length;
    seen.blobs = blobs.length;
    seen.bytes = blobs.reduce((sum, ref) => sum + ref.sizeBytes, 0);
    for (const ref of blobs) {
      if (signal.aborted) return;
      const verdict = await store.rehash(ref, 0);
      if (verdict !== 'verified') bad.set(ref.digest, { ...ref, state: verdict === 'absent' ? 'missing' : 'corrupt' });
      if (verdict === 'corrupt') log('error', 'verify_corrupt', `blob ${ref.digest} is corrupt at rest`, { digest: ref.digest });
      seen.blobsDone += 1;
      seen.bytesDone += ref.sizeBytes;
    }
    if (args.repair) await untilRepaired();
  }

  async function untilRepaired(): Promise<void> {
    phase = 'repairing';
    const open = () => [...bad.values()].filter((ref) => ref.state !== 'repaired');
    for (let idle = 0; open().length > 0 && idle < PATIENCE && !signal.aborted; ) {
      await pause(LOOK_MS, signal);
      const fetching = parts.fetching();
      idle += 1;
      for (const ref of open()) {
        if (ref.models.some((path) => fetching.has(path))) idle = 0;
        else if ((await store.verify(ref)) === 'verified') ref.state = 'repaired';
      }
    }
  }

  const ended = run()
    .catch((error: unknown) => {
      if (!signal.aborted) log('warn', 'verify_failed', String(error), {});
    })
    .finally(() => {
      phase = 'done';
    });
  return {
    ended,
    view: () => ({
      id,
      phase,
      ...seen,
      bad: [...bad.values()].map(({ digest, sizeBytes, models, state }) => ({ digest, sizeBytes, state, models: models.map(displayName) })),
    }),
  };
}
