// What a drill has shown, and whether that is what it should show.
import type { HistoryEntry } from '../gen/control.ts';
import { ASK_EVERY_MS, type Outage } from './drill-probe.ts';
import { duration, printable } from './format.ts';
import { phasesText } from './history.ts';

/** One thing that happened, ms after the fault. */
export type Happening = { readonly atMs: number; readonly what: string };

/** Everything that was seen. */
export type Seen = {
  readonly kind: string;
  readonly node: string;
  readonly mustMove: boolean;
  readonly before: { readonly holder: string; readonly epoch: number };
  readonly after: { readonly holder: string; readonly epoch: number };
  /** '' = no address is configured: nobody was asked. */
  readonly address: string;
  /** Null with an address: it did not answer again. */
  readonly outage: Outage | null;
  /** '' or why the failure could not be taken back. */
  readonly undoProblem: string;
  /** Until everything was as before, ms after the failure was taken back; null = it never was. */
  readonly healedMs: number | null;
  /** What is still not as before. */
  readonly unhealed: string;
  readonly splitBrain: boolean;
  readonly timeline: readonly Happening[];
  /** Entries of the cluster's history since then, oldest first. */
  readonly history: readonly HistoryEntry[];
};

/** What is wrong with it; empty = passed. */
export function problemsOf(seen: Seen): readonly string[] {
  const { before, after, outage } = seen;
  const moved = after.holder !== before.holder;
  return [
    ...(seen.splitBrain ? ['two machines answered for the address'] : []),
    ...(after.holder === '' ? ['no node is active'] : []),
    ...(seen.mustMove && !moved ? [`the role did not leave ${before.holder}`] : []),
    ...(!seen.mustMove && moved ? [`the role moved from ${before.holder} to ${after.holder}, though it had no reason to`] : []),
    ...(moved && after.epoch <= before.epoch ? [`the epoch did not rise (${before.epoch}, then ${after.epoch})`] : []),
    ...(seen.address !== '' && outage === null ? [`${seen.address} did not answer again`] : []),
    ...(!seen.mustMove && outage !== null && outage.failed > 0
      ? [`${outage.failed} of ${outage.asked} requests failed, though the active node was not touched`]
      : []),
    ...(seen.undoProblem === '' ? [] : [`the failure could not be taken back: ${seen.undoProblem}`]),
    ...(seen.healedMs === null ? [`not everything came back: ${seen.unhealed}`] : []),
  ];
}

/** As data. */
export function drillJson(seen: Seen): object {
  const problems = problemsOf(seen);
  const { kind, node, before, after, address, outage, healedMs, timeline, history } = seen;
  const whole = (ms: number) => Math.round(ms);
  return {
    drill: kind,
    node,
    passed: problems.length === 0,
    problems,
    moved: before.holder !== after.holder,
    before,
    after,
    address,
    outage:
      outage === null
        ? null
        : { ...outage, outageMs: whole(outage.outageMs), recoveredMs: whole(outage.recoveredMs), gapMs: whole(outage.gapMs) },
    healedMs: healedMs === null ? null : whole(healedMs),
    timeline: timeline.map(({ atMs, what }) => ({ atMs: whole(atMs), what })),
    history,
  };
}

/** What a person reads. */
export function drillText(seen: Seen): string {
  const { before, after } = seen;
  const problems = problemsOf(seen);
  const moved = before.holder !== after.holder;
  const lines = [
    `drill ${seen.kind} on ${seen.node}: ${problems.length === 0 ? 'passed' : 'NOT PASSED'}`,
    ...problems.map((problem) => `  problem: ${problem}`),
    moved
      ? `  the role moved from ${before.holder} to ${after.holder}, epoch ${before.epoch} to ${after.epoch}`
      : `  ${after.holder} is active as before, epoch ${after.epoch}`,
    `  ${outageText(seen)}`,
    ...(seen.healedMs === null ? [] : [`  everything was as before ${duration(seen.healedMs)} after the failure was taken back`]),
    '',
    ...seen.timeline.map(({ atMs, what }) => `${String(Math.round(atMs)).padStart(8)} ms  ${what}`),
    ...seen.history.map(
      (entry) =>
        `history: ${entry.from || 'nobody'} to ${entry.to || 'nobody'}, ${entry.cause}: ${entry.reason} (${phasesText(entry.phasesMs)})`,
    ),
    ...(moved ? [`Try: agentctl switchover --to ${before.holder} brings the role back`] : []),
  ];
  return `${lines.map(printable).join('\n')}\n`;
}

function outageText({ address, outage }: Seen): string {
  if (address === '') return 'no address is configured, so nobody was asked';
  if (outage === null) return `${address} did not answer again`;
  const asked = `${outage.asked} requests from this host, one each ${ASK_EVERY_MS} ms, at most ${Math.round(outage.gapMs)} ms apart`;
  if (outage.failed === 0) return `${address} answered every time (${asked})`;
  return `${address} was silent for ${duration(outage.outageMs)}, and answered for good ${duration(outage.recoveredMs)} after the fault (${asked})`;
}
