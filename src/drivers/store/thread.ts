// The store's thread: watches, scans and hashes, so that the main thread does none of it. Started by store.ts.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { gather } from '../../core/replication/gather.ts';
import { sha256OfBlobName } from '../../core/replication/names.ts';
import type { Sha256 } from '../../core/replication/types.ts';
import { type Catalog, openCatalog } from './catalog.ts';
import { syncFileSystem } from './durable.ts';
import { openHasher } from './hasher.ts';
import { blobsDir } from './layout.ts';
import type { FromThread, PlaceAsk, Placed, ThreadSetup, ToThread, Verdict } from './messages.ts';
import { openPlacer } from './placer.ts';
import { openSchedule } from './schedule.ts';
import { openVerified, type Verified } from './verified.ts';
import { openWatches } from './watch.ts';

/** Wait so long after an event: writes come in bursts. */
const SETTLE_MS = 40;
/** The same for partial blobs of a running pull, which say nothing yet. */
const PARTIALS_MS = 500;
const REPORT_MS = 100;
/** A report looks at every blob: with thousands of them it comes less often, so that it takes a tenth of the thread at most. */
const REPORT_SLOWEST_MS = 500;
const SAVE_MS = 5000;
const RETRY_MS = 200;
const WITHOUT_WATCH_MS = 2000;

type Tell = (message: FromThread) => void;

function serve(port: MessagePort, setup: ThreadSetup): void {
  const { root, rescanMs, verifiedFile } = setup;
  const tell: Tell = (message) => port.postMessage(message);
  const verified = openVerified(verifiedFile);
  const watches = openWatches(
    (dir, name) => schedule.within(dir === blobsDir(root) && sha256OfBlobName(name) === null ? PARTIALS_MS : SETTLE_MS),
    (reason) => {
      const text = `cannot watch the whole store (${reason}); looking at least every ${WITHOUT_WATCH_MS} ms instead`;
      tell({ k: 'log', level: 'warn', event: 'store_watch_lost', text, fields: {} });
      schedule.pace(Math.min(rescanMs, WITHOUT_WATCH_MS));
    },
  );
  const catalog = openCatalog({ root, verified, visit: watches.arm, wallMs: Date.now });
  const reporter = openReporter(catalog, tell);
  const hasher = openHasher({
    root,
    catalog,
    tell,
    answer: gather<Verdict>(setImmediate, (answers) => tell({ k: 'verdicts', answers })),
    learned: reporter.soon,
    moved: () => schedule.within(RETRY_MS),
    idle: reporter.flush,
  });
  const askers: number[] = [];
  const listers: number[] = [];
  const schedule = openSchedule(rescanMs, () => {
    catalog.scan();
    reporter.now();
    for (const id of askers.splice(0)) tell({ k: 'scanned', id });
    for (const id of listers.splice(0)) tell({ k: 'listed', id, ...catalog.named() });
    hasher.refill();
  });
  const placer = openPlacer({
    root,
    sync: () => syncFileSystem(root),
    verifiedKey: (ref) => {
      const { state, key } = catalog.stateOf(ref);
      return state === 'verified' ? key : undefined;
    },
  });
  const learnPlaced = (digest: Sha256, key: string) => {
    catalog.placed(digest, key);
    catalog.learn(digest, key, true);
    reporter.soon();
  };
  const tellPlaced = gather<Placed>(setImmediate, (answers) => tell({ k: 'placed', answers }));
  const place = ({ id, ...placing }: PlaceAsk) => {
    const done = (key: string | null, partKey: string) => {
      if (key !== null) learnPlaced(placing.ref.digest, key);
      tellPlaced({ id, key, partKey });
    };
    placer.place({ ...placing, done });
  };
  const saver = setInterval(() => save(verified, verifiedFile, tell), SAVE_MS);

  port.on('message', (message: ToThread) => {
    switch (message.k) {
      case 'rescan':
        askers.push(message.id);
        schedule.now();
        return;
      case 'list':
        listers.push(message.id);
        schedule.now();
        return;
      case 'rehash':
        hasher.rehash(message.id, message.ref, message.bytesPerSecondMax);
        return;
      case 'verify':
        hasher.ask(message.asks);
        return;
      case 'check':
        tell({ k: 'doubtful', id: message.id, refs: message.refs.filter((ref) => catalog.stateOf(ref).state !== 'verified') });
        return;
      case 'sync':
        void syncFileSystem(root).then((done) => tell({ k: 'synced', id: message.id, done }));
        return;
      case 'published':
        learnPlaced(message.digest, message.key);
        return;
      case 'place':
        message.asks.forEach(place);
        return;
      case 'close':
        hasher.close();
        schedule.close();
        reporter.close();
        watches.close();
        clearInterval(saver);
        save(verified, verifiedFile, tell);
        port.close();
    }
  });
  schedule.now();
}

type Reporter = { readonly now: () => void; readonly soon: () => void; readonly flush: () => void; readonly close: () => void };

/** Tells the main thread what changed: verified blobs before the inventory that rests on them. */
function openReporter(catalog: Catalog, tell: Tell): Reporter {
  let timer: NodeJS.Timeout | undefined;
  let lastVersion = -1;
  let faultsTold = new Map<string, string>();

  const tellFaults = () => {
    const faults = catalog.faults();
    for (const [path, fault] of faults) {
      if (faultsTold.get(path) === fault) continue;
      tell({ k: 'log', level: 'warn', event: 'store_manifest_bad', text: `manifest ${path}: ${fault}`, fields: { path } });
    }
    faultsTold = new Map(faults);
  };
  let costMs = 0;
  const now = () => {
    clearTimeout(timer);
    timer = undefined;
    const startedMs = performance.now();
    const change = catalog.takeChange();
    if (change.add.length + change.remove.length > 0) tell({ k: 'blobs', change });
    const inventory = catalog.inventory();
    if (inventory.version !== lastVersion) tell({ k: 'inventory', inventory });
    lastVersion = inventory.version;
    tellFaults();
    costMs = performance.now() - startedMs;
  };
  return {
    now,
    soon: () => {
      timer ??= setTimeout(now, Math.min(REPORT_SLOWEST_MS, Math.max(REPORT_MS, 10 * costMs)));
    },
    flush: () => {
      if (timer !== undefined) now();
    },
    close: () => clearTimeout(timer),
  };
}

function save(verified: Verified, file: string, tell: Tell): void {
  try {
    verified.save();
  } catch (error) {
    tell({ k: 'log', level: 'warn', event: 'store_memory_unsaved', text: `cannot write ${file}: ${String(error)}`, fields: { file } });
  }
}

if (parentPort !== null) serve(parentPort, workerData as ThreadSetup);
