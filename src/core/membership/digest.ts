// One number for a table: equal tables give equal numbers, in whatever order rows were learned.
import type { NodeId } from '../types.ts';

/** What counts of a row. Suspicion does not: it differs for moments between healthy views and spreads by itself. */
export type DigestRow = { readonly node: NodeId; readonly boot: number; readonly inc: number };

/** Order-independent hash of the rows, a safe integer below 2^53. */
export function digestOf(rows: Iterable<DigestRow>): number {
  let low = 0;
  let high = 0;
  for (const row of rows) {
    const text = `${row.node}|${row.boot}|${row.inc}`;
    low = (low + fnv(text, 0x811c9dc5)) >>> 0;
    high = (high + fnv(text, 0x9747b28c)) & 0x1fffff;
  }
  return high * 4_294_967_296 + low;
}

function fnv(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
