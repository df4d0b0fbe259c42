// A load test as a picture: one dot for each answer (when it was asked, how long it took), a red mark for each error, lines at the percentiles.
// Plain SVG, readable by any browser, with a text of what it shows.
import type { Figures } from './bench-report.ts';
import type { Sample } from './bench-run.ts';

const WIDTH = 900;
const HEIGHT = 420;
const EDGE = { left: 70, right: 90, top: 50, bottom: 45 };
/** More dots than this say no more, and make the file heavy: then every n-th is drawn. */
const DOTS_MAX = 5000;

/** The whole file. `title`: what was asked; any text. */
export function plotSvg(samples: readonly Sample[], figures: Figures, title: string): string {
  const endMs = samples.reduce((end, { atMs, ms }) => Math.max(end, atMs + (ms ?? 0)), 1);
  const highMs = samples.reduce((high, { ms }) => Math.max(high, ms ?? 0), 1);
  const [xTicks, yTicks] = [ticksOf(endMs / 1000, 10), ticksOf(highMs, 6)];
  const topMs = Math.max(highMs, yTicks.at(-1) ?? 0);
  const x = (atMs: number) => EDGE.left + (atMs / endMs) * (WIDTH - EDGE.left - EDGE.right);
  const y = (ms: number) => HEIGHT - EDGE.bottom - (ms / topMs) * (HEIGHT - EDGE.top - EDGE.bottom);
  const step = Math.ceil(samples.length / DOTS_MAX);
  const drawn = samples.filter((sample, i) => i % step === 0 || sample.ms === null).slice(0, 2 * DOTS_MAX);
  const { p50, p90, p95, p99 } = figures.latencyMs ?? { p50: 0, p90: 0, p95: 0, p99: 0 };
  const marks =
    figures.latencyMs === null
      ? []
      : spread(
          [
            ['p50', p50],
            ['p90', p90],
            ['p95', p95],
            ['p99', p99],
          ],
          y,
        );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(EDGE.left, 20, escaped(title.slice(0, 110)), 'font-size="14" font-weight="bold"'),
    text(EDGE.left, 38, summaryOf(figures, step), 'fill="#555"'),
    ...yTicks.map(
      (ms) =>
        line(EDGE.left, y(ms), WIDTH - EDGE.right, y(ms), '#e4e4e4') + text(EDGE.left - 6, y(ms) + 4, `${ms} ms`, 'text-anchor="end"'),
    ),
    ...xTicks.map((s) => text(x(s * 1000), HEIGHT - EDGE.bottom + 18, `${s} s`, 'text-anchor="middle"')),
    line(EDGE.left, HEIGHT - EDGE.bottom, WIDTH - EDGE.right, HEIGHT - EDGE.bottom, '#888'),
    text((WIDTH - EDGE.right + EDGE.left) / 2, HEIGHT - 8, 'time at which the request was sent', 'text-anchor="middle" fill="#555"'),
    ...drawn.map(({ atMs, ms }) =>
      ms === null
        ? `<path class="error" d="M${fixed(x(atMs))} ${HEIGHT - EDGE.bottom}v-12" stroke="#c00"/>`
        : `<circle cx="${fixed(x(atMs))}" cy="${fixed(y(ms))}" r="2" fill="#1667a8" fill-opacity="0.5"/>`,
    ),
    ...marks.map(
      ({ name, ms, textY }) =>
        line(EDGE.left, y(ms), WIDTH - EDGE.right, y(ms), '#d2691e', 'stroke-dasharray="4 3"') +
        text(WIDTH - EDGE.right + 4, textY, `${name} ${Math.round(ms)} ms`, 'fill="#a0410d"'),
    ),
    '</svg>\n',
  ].join('\n');
}

function summaryOf({ requests, errors, requestsPerSecond, tokensPerSecond }: Figures, step: number): string {
  const every = step === 1 ? '' : `; each ${step}th answer is drawn`;
  return `${requests} requests, ${errors} errors (red), ${requestsPerSecond} answers/s, ${tokensPerSecond} tokens/s${every}`;
}

/** Round numbers from 0, about `count` of them. */
function ticksOf(most: number, count: number): readonly number[] {
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

const LABEL_PX = 13;

/** Names of lines that lie close together are put below each other. */
function spread(values: readonly (readonly [string, number])[], y: (ms: number) => number) {
  let least = Number.POSITIVE_INFINITY;
  return values.map(([name, ms]) => {
    const textY = Math.min(y(ms) + 4, least - LABEL_PX);
    least = textY;
    return { name, ms, textY };
  });
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string, more = ''): string {
  return `<line x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}" stroke="${colour}" ${more}/>`;
}

function text(x: number, y: number, words: string, more: string): string {
  return `<text x="${fixed(x)}" y="${fixed(y)}" ${more}>${words}</text>`;
}

function fixed(value: number): string {
  return value.toFixed(1);
}

function escaped(words: string): string {
  return words
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/\p{Cc}/gu, ' ');
}
