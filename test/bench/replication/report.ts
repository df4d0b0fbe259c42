// From samples to the report and the table. Ratios are medians of the ratios within each run: on a machine with other work the runs differ
// more than what is compared.
import Table from 'cli-table3';
import type { Answers, Fetched } from './orders.ts';

/** One run of everything that is compared. Rates in MiB/s. */
export type Sample = {
  readonly rsyncA: number;
  readonly rsyncAvz: number;
  readonly rsyncANoSync: number;
  readonly plain: Copy;
  readonly tls: Copy;
  readonly plainNoSync: Copy;
  readonly tlsNoSync: Copy;
  readonly rsyncManySeconds: number;
  readonly rsyncManyNoSyncSeconds: number;
  readonly many: Fetched;
  readonly scrubMiBs: number;
  readonly limits: Answers['limits'];
  readonly socketMiBs: number;
  readonly miBs: (seconds: number) => number;
};

type Copy = Fetched & { readonly senderCpuSeconds: number };

/** What REPORT gets. A ratio above 1 is faster than rsync. */
export type Report = {
  readonly rsyncAMiBs: number;
  readonly rsyncAvzMiBs: number;
  readonly plain: Rate;
  readonly tls: Rate;
  readonly small: { readonly blobs: number; readonly seconds: number; readonly ratioToRsyncA: number };
  readonly fanout4: { readonly timeRatioToOne: number };
  readonly scrubMiBs: number;
  readonly loopDelayP99Ms: number;
  readonly receiverRssMiB: number;
  readonly limits: { readonly hashMiBs: number; readonly copyMiBs: number; readonly socketMiBs: number; readonly copyFlushedMiBs: number };
  /** The same copies with no flush on either side. */
  readonly notFlushed: { readonly rsyncAMiBs: number; readonly plain: Rate; readonly tls: Rate; readonly smallRsyncASeconds: number };
  readonly smallRsyncASeconds: number;
  readonly fanoutSeconds: { readonly one: number; readonly four: number };
};

type Rate = { readonly miBs: number; readonly ratioToRsyncA: number };

type Times = readonly (readonly [one: number, four: number])[];

/** Rounds to what was measured. */
export function reportOf(samples: readonly Sample[], times: Times, blobs: number): Report {
  const of = (pick: (sample: Sample) => number, digits = 0) => round(median(samples.map(pick)), digits);
  const copy = (pick: (sample: Sample) => Copy, against = (s: Sample) => s.rsyncA): Rate => ({
    miBs: of((s) => s.miBs(pick(s).seconds)),
    ratioToRsyncA: of((s) => s.miBs(pick(s).seconds) / against(s), 2),
  });
  return {
    rsyncAMiBs: of((s) => s.rsyncA),
    rsyncAvzMiBs: of((s) => s.rsyncAvz),
    plain: copy((s) => s.plain),
    tls: copy((s) => s.tls),
    small: { blobs, seconds: of((s) => s.many.seconds, 2), ratioToRsyncA: of((s) => s.rsyncManySeconds / s.many.seconds, 2) },
    fanout4: { timeRatioToOne: round(median(times.map(([one, four]) => four / one)), 2) },
    scrubMiBs: of((s) => s.scrubMiBs),
    loopDelayP99Ms: of((s) => Math.max(s.plain.loopDelayP99Ms, s.tls.loopDelayP99Ms), 1),
    receiverRssMiB: of((s) => Math.max(s.plain.rssMiB, s.tls.rssMiB)),
    limits: {
      hashMiBs: of((s) => s.limits.hashMiBs),
      copyMiBs: of((s) => s.limits.copyMiBs),
      socketMiBs: of((s) => s.socketMiBs),
      copyFlushedMiBs: of((s) => s.limits.copySyncMiBs),
    },
    notFlushed: {
      rsyncAMiBs: of((s) => s.rsyncANoSync),
      plain: copy(
        (s) => s.plainNoSync,
        (s) => s.rsyncANoSync,
      ),
      tls: copy(
        (s) => s.tlsNoSync,
        (s) => s.rsyncANoSync,
      ),
      smallRsyncASeconds: of((s) => s.rsyncManyNoSyncSeconds, 2),
    },
    smallRsyncASeconds: of((s) => s.rsyncManySeconds, 2),
    fanoutSeconds: { one: round(median(times.map(([one]) => one)), 2), four: round(median(times.map(([, four]) => four)), 2) },
  };
}

/** Prints what was measured beside the targets, the figures without flushing, and the CPU seconds per GiB. */
export function printTable(samples: readonly Sample[], times: Times, report: Report): void {
  const of = (pick: (sample: Sample) => number, digits = 0) => median(samples.map(pick)).toFixed(digits);
  // miBs(1) is the size of the blob in MiB.
  const perGiB = (cpu: (sample: Sample) => number) => of((s) => (cpu(s) * 1024) / s.miBs(1), 2);
  const rate = (pick: (sample: Sample) => Copy) => of((s) => s.miBs(pick(s).seconds));
  const table = new Table({ head: ['what', 'flushed', 'not flushed', 'target'], style: { head: [], border: [] } });
  table.push(
    ['rsync -a, MiB/s', of((s) => s.rsyncA), of((s) => s.rsyncANoSync), ''],
    ['rsync -avz, MiB/s', of((s) => s.rsyncAvz), '', ''],
    ['plain, MiB/s', rate((s) => s.plain), rate((s) => s.plainNoSync), ''],
    ['plain / rsync -a', report.plain.ratioToRsyncA, of((s) => s.miBs(s.plainNoSync.seconds) / s.rsyncANoSync, 2), '>= 1.2'],
    ['TLS, MiB/s', rate((s) => s.tls), rate((s) => s.tlsNoSync), ''],
    ['TLS / rsync -a', report.tls.ratioToRsyncA, of((s) => s.miBs(s.tlsNoSync.seconds) / s.rsyncANoSync, 2), '>= 0.7'],
    ['CPU s/GiB, receiver plain', perGiB((s) => s.plain.cpuSeconds), perGiB((s) => s.plainNoSync.cpuSeconds), ''],
    ['CPU s/GiB, sender plain', perGiB((s) => s.plain.senderCpuSeconds), perGiB((s) => s.plainNoSync.senderCpuSeconds), ''],
    ['CPU s/GiB, receiver TLS', perGiB((s) => s.tls.cpuSeconds), perGiB((s) => s.tlsNoSync.cpuSeconds), ''],
    ['CPU s/GiB, sender TLS', perGiB((s) => s.tls.senderCpuSeconds), perGiB((s) => s.tlsNoSync.senderCpuSeconds), ''],
    [`${report.small.blobs} blobs by rsync -a, s`, of((s) => s.rsyncManySeconds, 2), of((s) => s.rsyncManyNoSyncSeconds, 2), ''],
    [`${report.small.blobs} blobs, TLS, s`, report.small.seconds, '', ''],
    ['small / rsync -a', report.small.ratioToRsyncA, '', '>= 1.0'],
    ['one standby, s', median(times.map(([one]) => one)).toFixed(1), '', ''],
    ['four standbys, s', median(times.map(([, four]) => four)).toFixed(1), '', ''],
    ['four / one', report.fanout4.timeRatioToOne, '', '<= 1.3'],
    ['scrub, MiB/s', report.scrubMiBs, '', '>= 900'],
    ['loop delay p99, ms', report.loopDelayP99Ms, '', '<= 20'],
    ['receiver RSS, MiB', report.receiverRssMiB, '', '<= 150'],
    ['limit: SHA-256, MiB/s', '', report.limits.hashMiBs, ''],
    ['limit: copy, MiB/s', of((s) => s.limits.copySyncMiBs), report.limits.copyMiBs, ''],
    ['limit: TCP, MiB/s', '', report.limits.socketMiBs, ''],
  );
  process.stdout.write(`${table.toString()}\n`);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
