// Numbers as people read them: short, with their unit.

/** An age or a duration: `80 ms`, `3.4 s`, `12 s`, `3m`, `5h`, `2d`; `-` when it is not known (negative). */
export function duration(ms: number): string {
  if (ms < 0) return '-';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 60_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)}m`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)}h`;
  return `${Math.floor(ms / 86_400_000)}d`;
}

/** The same without spaces and fractions, for narrow cells: `80ms`, `2s`, `3m`. */
export function shortDuration(ms: number): string {
  return ms >= 1000 && ms < 60_000 ? `${Math.round(ms / 1000)}s` : duration(ms).replace(' ', '');
}

/** A size in decimal units, at most four characters and the unit: `31G`, `1.2G`, `640M`. */
export function size(bytes: number): string {
  const units = ['B', 'K', 'M', 'G', 'T', 'P'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 9.95 || unit === 0 ? Math.round(value) : value.toFixed(1)}${units[unit]}`;
}

/** Wall-clock ms since 1970 as `2026-11-24 13:05:02Z`. */
export function instant(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace(/\.\d+/, '');
}

/** A text cut to `width` characters, its end marked. */
export function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** A text without control characters: what an agent reports must not move the cursor of a terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}

/** A text broken at spaces into lines of `width`, all but the first indented. */
export function wrap(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent + word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
}
