// Aligned columns without lines, cut to the terminal's width.
import Table from 'cli-table3';
import { clip, printable } from './format.ts';

/** A cell: its text, and how it looks on a terminal. */
export type Cell = { readonly text: string; readonly paint?: (text: string) => string };

const noLines = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' ',
};

const lastColumnMin = 10;
const columnMin = 8;

/** Lays rows out under a head. What does not fit in `width` is cut: the last column first, down to 10 characters, then the widest others. */
export function tableText(head: readonly string[], rows: readonly (readonly Cell[])[], width: number): string {
  const cells = rows.map((row) => row.map((cell) => ({ ...cell, text: printable(cell.text) })));
  const widths = fitted(
    head.map((title, at) => Math.max(title.length, ...cells.map((row) => row[at]?.text.length ?? 0))),
    width,
  );
  const table = new Table({ chars: noLines, style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] } });
  table.push(head.map((title, at) => clip(title, widths[at] ?? title.length)));
  for (const row of cells) table.push(row.map((cell, at) => drawn(cell, widths[at] ?? cell.text.length)));
  return `${table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

function drawn(cell: Cell, width: number): string {
  const text = clip(cell.text, width);
  return cell.paint === undefined || text === '' ? text : cell.paint(text);
}

function fitted(wanted: readonly number[], width: number): readonly number[] {
  const widths = [...wanted];
  const excess = () => widths.reduce((sum, one) => sum + one, widths.length - 1) - width;
  const last = widths.length - 1;
  const lastWidth = widths[last] ?? 0;
  widths[last] = Math.min(lastWidth, Math.max(lastColumnMin, lastWidth - Math.max(0, excess())));
  while (excess() > 0) {
    const widest = widths.indexOf(Math.max(...widths.slice(0, last)));
    if (widest < 0 || (widths[widest] ?? 0) <= columnMin) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}
