// Draws one run as an SVG picture: what the clients saw, who held the lease, who owned the VIP on the wire.
import { owners } from '../../lab/prober/records.ts';
import type { Run } from './session.ts';

const width = 1200;
const left = 120;
const rowHeight = 22;
const colours = ['#1f77b4', '#ff7f0e', '#9467bd', '#8c564b', '#17becf'];

type Bar = { readonly from: number; readonly to: number; readonly colour: string; readonly label?: string };
type Row = { readonly name: string; readonly bars: readonly Bar[] };

/** What is drawn beside a run: a title, the names of the hosts and their MACs. */
export type Drawing = { readonly title: string; readonly hosts: readonly { readonly name: string; readonly mac: string }[] };

/** The part of a run that is drawn; a baseline has no lease and no log. */
export type Drawn = Pick<Run, 'startedAt' | 'faultAt' | 'healedAt' | 'endedAt' | 'requests' | 'answers' | 'events' | 'holdings'>;

/** The picture, from a little before the fault until all was well again. */
export function timelineSvg(run: Drawn, drawing: Drawing): string {
  const from = Math.max(run.startedAt, run.faultAt - 500);
  const to = Math.max(run.endedAt, from + 1000);
  const x = (at: number): number => left + ((Math.min(Math.max(at, from), to) - from) / (to - from)) * (width - left - 20);
  const rows = rowsOf(run, drawing, to);
  const top = 60;
  const bottom = top + rows.length * rowHeight;
  const body = rows.flatMap((row, i) => rowSvg(row, top + i * rowHeight, x, from, to));
  const marks = [
    markSvg('fault', run.faultAt, '#d62728'),
    ...(Number.isFinite(run.healedAt) ? [markSvg('healed', run.healedAt, '#2ca02c')] : []),
  ];
  const words = run.events
    .filter((e) => e.at >= from && told.has(e.event))
    .map((e) => `${(e.at - run.faultAt).toFixed(0).padStart(7)} ms  ${e.node}: ${e.text}`)
    .slice(0, 60);
  const height = bottom + 50 + words.length * 14;
  function markSvg(label: string, at: number, colour: string): string {
    const line = `<line x1="${x(at)}" y1="40" x2="${x(at)}" y2="${bottom}" stroke="${colour}" stroke-dasharray="4 2"/>`;
    return `${line}<text x="${x(at) + 3}" y="50" fill="${colour}">${label}</text>`;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="monospace" font-size="11">`,
    `<rect width="100%" height="100%" fill="white"/><text x="10" y="20" font-size="14">${escaped(drawing.title)}</text>`,
    ...body,
    ...marks,
    ...axisSvg(run.faultAt, from, to, bottom, x),
    ...words.map((line, i) => `<text x="10" y="${bottom + 45 + i * 14}" xml:space="preserve">${escaped(line)}</text>`),
    '</svg>',
    '',
  ].join('\n');
}

const told: ReadonlySet<string> = new Set([
  'claimed',
  'claim_failed',
  'lapsed',
  'restored',
  'yielding',
  'released',
  'deposed',
  'vip_on',
  'failsafe_on',
  'failsafe_off',
  'moving',
  'fence_lost',
  'vip.failed',
  'vip.stuck',
  'vip.restore',
  'no_better_node',
  'ollama_down',
]);

function rowsOf(run: Drawn, drawing: Drawing, to: number): Row[] {
  const colourOf = (i: number): string => colours[i % colours.length] ?? '#000';
  const wire = owners(run.answers);
  return [
    { name: 'clients', bars: requestBars(run) },
    ...drawing.hosts.map(({ name }, i) => ({
      name: `lease ${name}`,
      bars: run.holdings
        .filter((h) => h.node === name)
        .map((h) => ({
          from: h.from,
          // Who never said that it ended held it, at the longest, until another did.
          to: h.to ?? run.holdings.find((next) => next.from > h.from)?.from ?? to,
          colour: colourOf(i),
          label: String(h.epoch),
        })),
    })),
    ...drawing.hosts.map(({ name, mac }, i) => ({
      name: `VIP ${name}`,
      bars: wire.filter((o) => o.mac === mac).map((o) => ({ from: o.from, to: o.to, colour: colourOf(i) })),
    })),
  ];
}

/** Requests in the order of their starts, neighbours of the same fate in one bar. */
function requestBars(run: Drawn): Bar[] {
  const bars: { from: number; to: number; colour: string; label?: string }[] = [];
  let count = 0;
  for (const r of run.requests.toSorted((a, b) => a.at - b.at)) {
    const colour = r.error === '' ? '#2ca02c' : '#d62728';
    const last = bars.at(-1);
    if (last?.colour === colour) {
      last.to = r.at + 5;
      count += 1;
      if (r.error !== '') last.label = `${count} failed`;
    } else {
      count = 1;
      bars.push({ from: r.at, to: r.at + 5, colour, ...(r.error === '' ? {} : { label: '1 failed' }) });
    }
  }
  return bars;
}

function rowSvg(row: Row, y: number, x: (at: number) => number, from: number, to: number): string[] {
  const visible = row.bars.filter((bar) => bar.to >= from && bar.from <= to);
  return [
    `<text x="10" y="${y + 15}">${escaped(row.name)}</text>`,
    ...visible.map((bar) => {
      const rect = `<rect x="${x(bar.from).toFixed(1)}" y="${y + 3}" width="${Math.max(1, x(bar.to) - x(bar.from)).toFixed(1)}" height="16" fill="${bar.colour}"/>`;
      return bar.label === undefined
        ? rect
        : `${rect}<text x="${(x(bar.from) + 3).toFixed(1)}" y="${y + 15}" fill="white">${escaped(bar.label)}</text>`;
    }),
  ];
}

function axisSvg(zero: number, from: number, to: number, y: number, x: (at: number) => number): string[] {
  const steps = [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
  const step = steps.find((s) => (to - from) / s <= 14) ?? 120_000;
  const ticks: string[] = [];
  for (let at = zero + Math.ceil((from - zero) / step) * step; at <= to; at += step) {
    ticks.push(
      `<line x1="${x(at).toFixed(1)}" y1="60" x2="${x(at).toFixed(1)}" y2="${y}" stroke="#ddd"/><text x="${x(at).toFixed(1)}" y="${y + 15}" text-anchor="middle">${at - zero} ms</text>`,
    );
  }
  return ticks;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
