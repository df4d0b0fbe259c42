// Checks what a script returned. The record is outside input: any client of the server may have written it.
import type { ScriptCode, Snap } from '../../core/lease/types.ts';

/** A valid reply, or what is wrong with it. */
export type ParsedReply = { readonly code: ScriptCode; readonly snap: Snap } | { readonly problem: string };

const codes: ReadonlySet<string> = new Set<ScriptCode>(['ok', 'run', 'changed', 'epoch', 'lost']);
const runId = /^[0-9a-f]{40}$/;
const epoch = /^[0-9]{0,16}$/;

// Node (63) + '#' + boot (16), a counter behind it for the nonce; 64 roster entries of 66 bytes for the meta.
const lengthMax = { o: 128, n: 200, heir: 63, meta: 16_384 } as const;

/** Accepts exactly nine bounded strings in the shape of the record. */
export function parseReply(raw: unknown): ParsedReply {
  if (!isNineStrings(raw)) return { problem: 'the script answered in an unexpected shape' };
  const [code, run, o, e, n, rel, heir, hi, meta] = raw;
  const snap: Snap = { run, o, e, n, rel, heir, hi, meta };
  if (!isCode(code)) return { problem: 'the script answered with an unknown code' };
  if (!runId.test(run)) return { problem: 'the server names no run_id of 40 hex digits' };
  const field = badField(snap);
  if (field !== null) {
    return { problem: `field ${field} of the lease record is malformed: something else wrote the key; delete it, it will be written anew` };
  }
  return { code, snap };
}

type NineStrings = readonly [string, string, string, string, string, string, string, string, string];

function isNineStrings(raw: unknown): raw is NineStrings {
  return Array.isArray(raw) && raw.length === 9 && raw.every((item) => typeof item === 'string');
}

function isCode(text: string): text is ScriptCode {
  return codes.has(text);
}

function badField(snap: Snap): keyof Snap | null {
  if (!epoch.test(snap.e)) return 'e';
  if (!epoch.test(snap.hi)) return 'hi';
  if (snap.rel !== '' && snap.rel !== '0' && snap.rel !== '1') return 'rel';
  for (const field of ['o', 'n', 'heir', 'meta'] as const) {
    if (snap[field].length > lengthMax[field]) return field;
  }
  return null;
}
