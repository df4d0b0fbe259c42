// How Go writes and reads things: JSON with HTML escapes, times with nanoseconds, durations, and the words of its errors.

/** JSON as Go's encoder writes it: `<`, `>`, `&` and the two line separators are escaped. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** RFC 3339 with nanoseconds and without trailing zeros, in UTC, from Unix nanoseconds. */
export function goTime(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return fraction === '' ? `${whole}Z` : `${whole}.${fraction}Z`;
}

/** The present in Unix nanoseconds. */
export function nowNs(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n + 7n;
}

/** `5m`, `1h30m`, `250ms`, `90` (seconds), `-1` as ms; null = not a duration. Negative means for ever. */
export function goDurationMs(text: string): number | null {
  const trimmed = text.trim();
  if (/^-?\d+$/.test(trimmed)) return Number(trimmed) * 1000;
  const units: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  const parts = [...trimmed.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  const sign = trimmed.startsWith('-') ? -1 : 1;
  if (parts.length === 0 || parts.map((p) => p[0]).join('') !== trimmed.replace(/^[-+]/, '')) return null;
  return sign * parts.reduce((sum, part) => sum + Number(part[1]) * (units[part[2] ?? ''] ?? 0), 0);
}

/** What Go's JSON decoder says about a text that does not parse. */
export function goJsonError(text: string): string {
  if (text.trim() === '') return 'EOF';
  try {
    JSON.parse(text);
    return '';
  } catch (error) {
    const at = error instanceof Error ? /position (\d+)/.exec(error.message) : null;
    const found = at === null ? undefined : text[Number(at[1])];
    return found === undefined ? 'unexpected EOF' : `invalid character '${found}' looking for beginning of value`;
  }
}

/** The name Go gives to the type of a JSON value. */
export function goKind(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/** Decodes standard base64 as Go does: padding needed, line breaks ignored; the error names the first bad byte. */
export function goBase64(text: string): { readonly bytes: Buffer } | { readonly error: string } {
  const plain = text.replace(/[\r\n]/g, '');
  const bad = plain.search(/[^A-Za-z0-9+/=]/);
  if (bad >= 0) return { error: `illegal base64 data at input byte ${bad}` };
  const pad = plain.indexOf('=');
  const body = pad < 0 ? plain : plain.slice(0, pad);
  if (plain.length % 4 !== 0) return { error: `illegal base64 data at input byte ${plain.length - (plain.length % 4)}` };
  if (pad >= 0 && (plain.length - pad > 2 || !/^=+$/.test(plain.slice(pad)))) return { error: `illegal base64 data at input byte ${pad}` };
  return { bytes: Buffer.from(body, 'base64') };
}

/** A file-system error in Go's words: `open PATH: no such file or directory`. */
export function goFsError(verb: string, path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
  const words: Record<string, string> = {
    ENOENT: 'no such file or directory',
    EACCES: 'permission denied',
    ENOSPC: 'no space left on device',
    ENOTDIR: 'not a directory',
  };
  return `${verb} ${path}: ${words[code] ?? code}`;
}
