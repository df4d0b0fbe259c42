// From samples to the report and the table. Ratios are medians of the ratios within each run: on a machine with other work the runs differ
// more than what is compared.
import Table from 'cli-table3';
import type { Answers, Fetched } from './orders.ts';

/** One run with the large blob. Rates in MiB/s. */
export type LargeSample = {
  readonly rsyncA: number;
  readonly rsyncAvz: number;
  readonly rsyncANoSync: number;
  readonly plain: Copy;
  readonly tls: Copy;
  readonly plainNoSync: Copy;
  readonly tlsNoSync: Copy;
  readonly scrubMiBs: number;
  readonly limits: Answers['limits'];
  readonly socketMiBs: number;
  readonly miBs: (seconds: number) => number;
};

/** One run with many small blobs. */
export type SmallSample = { readonly rsyncSeconds: number; readonly rsyncNoSyncSeconds: number; readonly ours: Fetched };

/** Times of the fan-out, s. */
export type Times = readonly (readonly [one: number, four: number])[];

/** All runs; a case that was not measured has none. */
export type Samples = {
  readonly large: readonly LargeSample[];
  readonly small: readonly SmallSample[];
  readonly fanout: Times;
  /** Number of small blobs. */
  readonly blobs: number;
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
  /** The larger of the two below it. */
  readonly receiverRssMiB: number;
  readonly receiverRss: { readonly largeMiB: number; readonly smallMiB: number };
  readonly limits: { readonly hashMiBs: number; readonly copyMiBs: number; readonly socketMiBs: number; readonly copyFlushedMiBs: number };
  /** The same copies with no flush on either side. */
  readonly notFlushed: { readonly rsyncAMiBs: number; readonly plain: Rate; readonly tls: Rate; readonly smallRsyncASeconds: number };
  readonly smallRsyncASeconds: number;
  readonly fanoutSeconds: { readonly one: number; readonly four: number };
};

type Rate = { readonly miBs: number; readonly ratioToRsyncA: number };

/** Rounds to what was measured. Every case must have run. */
export function reportOf({ large, small, fanout, blobs }: Samples): Report {
  const of = (pick: (sample: LargeSample) => number, digits = 0) => round(median(large.map(pick)), digits);
  const ofSmall = (pick: (sample: SmallSample) => number, digits: number) => round(median(small.map(pick)), digits);
  const copy = (pick: (sample: LargeSample) => Copy, against: (sample: LargeSample) => number): Rate => ({
    miBs: of((s) => s.miBs(pick(s).seconds)),
    ratioToRsyncA: of((s) => s.miBs(pick(s).seconds) / against(s), 2),
  });
  const durable = (s: LargeSample) => s.rsyncA;
  const notDurable = (s: LargeSample) => s.rsyncANoSync;
  const rssLarge = of((s) => Math.max(s.plain.rssMiB, s.tls.rssMiB));
  const rssSmall = ofSmall((s) => s.ours.rssMiB, 0);
  return {
    rsyncAMiBs: of(durable),
    rsyncAvzMiBs: of((s) => s.rsyncAvz),
    plain: copy((s) => s.plain, durable),
    tls: copy((s) => s.tls, durable),
    small: { blobs, seconds: ofSmall((s) => s.ours.seconds, 2), ratioToRsyncA: ofSmall((s) => s.rsyncSeconds / s.ours.seconds, 2) },
    fanout4: { timeRatioToOne: round(median(fanout.map(([one, four]) => four / one)), 2) },
    scrubMiBs: of((s) => s.scrubMiBs),
    loopDelayP99Ms: round(
      Math.max(
        of((s) => Math.max(s.plain.loopDelayP99Ms, s.tls.loopDelayP99Ms), 3),
        ofSmall((s) => s.ours.loopDelayP99Ms, 3),
      ),
      1,
    ),
    receiverRssMiB: Math.max(rssLarge, rssSmall),
    receiverRss: { largeMiB: rssLarge, smallMiB: rssSmall },
    limits: {
      hashMiBs: of((s) => s.limits.hashMiBs),
      copyMiBs: of((s) => s.limits.copyMiBs),
      socketMiBs: of((s) => s.socketMiBs),
      copyFlushedMiBs: of((s) => s.limits.copySyncMiBs),
    },
    notFlushed: {
      rsyncAMiBs: of(notDurable),
      plain: copy((s) => s.plainNoSync, notDurable),
      tls: copy((s) => s.tlsNoSync, notDurable),
      smallRsyncASeconds: ofSmall((s) => s.rsyncNoSyncSeconds, 2),
    },
    smallRsyncASeconds: ofSmall((s) => s.rsyncSeconds, 2),
    fanoutSeconds: { one: round(median(fanout.map(([one]) => one)), 2), four: round(median(fanout.map(([, four]) => four)), 2) },
  };
}

/** Prints what was measured beside the targets, the figures without flushing, and the CPU seconds per GiB. */
export function printTable(samples: Samples): void {
  const table = new Table({ head: ['what', 'flushed', 'not flushed', 'target'], style: { head: [], border: [] } });
  if (samples.large.length > 0) table.push(...largeRows(samples.large));
  if (samples.small.length > 0) table.push(...smallRows(samples.small, samples.blobs));
  if (samples.fanout.length > 0) table.push(...fanoutRows(samples.fanout));
  process.stdout.write(`${table.toString()}\n`);
}

function largeRows(samples: readonly LargeSample[]): string[][] {
  const of = (pick: (sample: LargeSample) => number, digits = 0) => median(samples.map(pick)).toFixed(digits);
  // miBs(1) is the size of the blob in MiB.
  const perGiB = (cpu: (sample: LargeSample) => number) => of((s) => (cpu(s) * 1024) / s.miBs(1), 2);
  const rate = (pick: (sample: LargeSample) => Copy) => of((s) => s.miBs(pick(s).seconds));
  const ratio = (pick: (sample: LargeSample) => Copy, against: (sample: LargeSample) => number) =>
    of((s) => s.miBs(pick(s).seconds) / against(s), 2);
  const durable = (s: LargeSample) => s.rsyncA;
  const notDurable = (s: LargeSample) => s.rsyncANoSync;
  return [
    ['rsync -a, MiB/s', of(durable), of(notDurable), ''],
    ['rsync -avz, MiB/s', of((s) => s.rsyncAvz), '', ''],
    ['plain, MiB/s', rate((s) => s.plain), rate((s) => s.plainNoSync), ''],
    ['plain / rsync -a', ratio((s) => s.plain, durable), ratio((s) => s.plainNoSync, notDurable), '>= 1.2'],
    ['TLS, MiB/s', rate((s) => s.tls), rate((s) => s.tlsNoSync), ''],
    ['TLS / rsync -a', ratio((s) => s.tls, durable), ratio((s) => s.tlsNoSync, notDurable), '>= 0.7'],
    ['CPU s/GiB, receiver plain', perGiB((s) => s.plain.cpuSeconds), perGiB((s) => s.plainNoSync.cpuSeconds), ''],
    ['CPU s/GiB, sender plain', perGiB((s) => s.plain.senderCpuSeconds), perGiB((s) => s.plainNoSync.senderCpuSeconds), ''],
    ['CPU s/GiB, receiver TLS', perGiB((s) => s.tls.cpuSeconds), perGiB((s) => s.tlsNoSync.cpuSeconds), ''],
    ['CPU s/GiB, sender TLS', perGiB((s) => s.tls.senderCpuSeconds), perGiB((s) => s.tlsNoSync.senderCpuSeconds), ''],
    ['scrub, MiB/s', of((s) => s.scrubMiBs), '', '>= 900'],
    ['loop delay p99, ms', of((s) => Math.max(s.plain.loopDelayP99Ms, s.tls.loopDelayP99Ms), 1), '', '<= 20'],
    ['receiver RSS, MiB', of((s) => Math.max(s.plain.rssMiB, s.tls.rssMiB)), '', '<= 150'],
    ['limit: SHA-256, MiB/s', '', of((s) => s.limits.hashMiBs), ''],
    ['limit: copy, MiB/s', of((s) => s.limits.copySyncMiBs), of((s) => s.limits.copyMiBs), ''],
    ['limit: TCP, MiB/s', '', of((s) => s.socketMiBs), ''],
  ];
}

function smallRows(samples: readonly SmallSample[], blobs: number): string[][] {
  const of = (pick: (sample: SmallSample) => number, digits = 0) => median(samples.map(pick)).toFixed(digits);
  return [
    [`${blobs} blobs by rsync -a, s`, of((s) => s.rsyncSeconds, 2), of((s) => s.rsyncNoSyncSeconds, 2), ''],
    [`${blobs} blobs, TLS, s`, of((s) => s.ours.seconds, 2), '', ''],
    ['small / rsync -a', of((s) => s.rsyncSeconds / s.ours.seconds, 2), '', '>= 1.0'],
    ['CPU s, receiver, small', of((s) => s.ours.cpuSeconds, 2), '', ''],
    ['loop delay p99, small, ms', of((s) => s.ours.loopDelayP99Ms, 1), '', '<= 20'],
    ['receiver RSS, small, MiB', of((s) => s.ours.rssMiB), '', '<= 150'],
  ];
}

function fanoutRows(times: Times): string[][] {
  return [
    ['one standby, s', median(times.map(([one]) => one)).toFixed(1), '', ''],
    ['four standbys, s', median(times.map(([, four]) => four)).toFixed(1), '', ''],
    ['four / one', median(times.map(([one, four]) => four / one)).toFixed(2), '', '<= 1.3'],
  ];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
