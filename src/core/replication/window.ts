// The daily window in which models may be copied: `22:00-06:00`, local time, over midnight where the end is the smaller.

/** Minutes of the day, 0 to 1439: from `from` up to but not at `to`. */
export type CopyWindow = { readonly from: number; readonly to: number };

const WINDOW = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/;

/** The window of `HH:MM-HH:MM`; null when the text is none, or begins where it ends. */
export function parseWindow(text: string): CopyWindow | null {
  const parts = WINDOW.exec(text)?.slice(1).map(Number);
  if (parts === undefined) return null;
  const [fromHour = 0, fromMinute = 0, toHour = 0, toMinute = 0] = parts;
  const window = { from: 60 * fromHour + fromMinute, to: 60 * toHour + toMinute };
  return window.from === window.to ? null : window;
}

/** True when the minute of the day lies in the window. */
export function isInWindow(window: CopyWindow, minuteOfDay: number): boolean {
  const { from, to } = window;
  return from < to ? minuteOfDay >= from && minuteOfDay < to : minuteOfDay >= from || minuteOfDay < to;
}
