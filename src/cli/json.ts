// Machine-readable output: what the agent said, with plain numbers.

/** A reply as plain data: bigint becomes number. Every integer of the protocol stays below 2^53 (epochs have 13 digits). */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

/** One JSON document with a newline at its end. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(plain(value), null, 2)}\n`;
}
