// The recordings of a real server, and the comparison that ignores what differs between two runs of the same server.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WireReply, WireRequest } from './wire.ts';

/** Folder of the recordings. */
export const RECORDED = join(import.meta.dirname, '../../data/ollama');

/** One recorded exchange. */
export type Recording = {
  readonly name: string;
  readonly request: WireRequest;
  readonly response: {
    readonly status: number | null;
    readonly headers?: readonly (readonly [string, string])[];
    readonly chunks?: readonly { readonly atMs: number; readonly text: string }[];
    readonly body?: string;
    readonly end: string;
  };
};

/** Names of all recordings. */
export function recordedNames(): readonly string[] {
  return readdirSync(RECORDED)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -5));
}

/** One recording. Throws when there is none of the name. */
export function recording(name: string): Recording {
  return JSON.parse(readFileSync(join(RECORDED, `${name}.json`), 'utf8'));
}

/** A reply without what differs from run to run; two replies of one kind are equal. */
export type Comparable = {
  readonly status: number | null;
  readonly headers: readonly string[];
  readonly body: string | readonly string[];
  readonly end: string;
};

/** What a comparison may leave out, with the reason in the caller. */
export type Loose = { readonly replace?: readonly (readonly [RegExp, string])[]; readonly sameChunks?: boolean };

/** The recorded reply, comparable. */
export function expected(name: string, loose: Loose = {}): Comparable {
  const { response } = recording(name);
  const chunks = response.chunks?.map((chunk) => chunk.text) ?? null;
  return comparable({ ...response, headers: response.headers ?? [], chunks, body: response.body ?? '' }, '$OLLAMA_MODELS', loose);
}

/** A reply of the fake, comparable; `store` is the path that recordings call $OLLAMA_MODELS. */
export function comparable(reply: Omit<WireReply, 'firstByteMs'>, store: string, loose: Loose = {}): Comparable {
  const clean = (text: string) => normal(text.replaceAll(store, '$OLLAMA_MODELS'), loose);
  const whole = reply.chunks === null ? reply.body : reply.chunks.join('');
  // Its own path and the figures of a run change the length of a body.
  const steady = clean(whole) === whole && whole !== '' && !whole.includes('$OLLAMA_MODELS');
  const headers = reply.headers.map(
    ([name, value]) => `${name}: ${name === 'Date' || (name === 'Content-Length' && !steady && value !== '0') ? '*' : value}`,
  );
  const chunks = reply.chunks?.map(clean) ?? null;
  const body = chunks === null ? clean(reply.body) : loose.sameChunks === false ? [...new Set(chunks)] : chunks;
  return { status: reply.status, headers, body, end: reply.end };
}

const VOLATILE: readonly (readonly [RegExp, string])[] = [
  [/"(created_at|modified_at|expires_at)":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"/g, '"$1":"TIME"'],
  [
    /"(total_duration|load_duration|prompt_eval_duration|eval_duration|prompt_eval_count|prompt_tokens|total_tokens|input_tokens)":\d+/g,
    '"$1":N',
  ],
  [/"context":\[[\d,]+\]/g, '"context":[N]'],
  [/"id":"(chatcmpl|cmpl)-\d+"/g, '"id":"$1-N"'],
  [/"(id|request_id)":"(msg|req)_[0-9a-f]{24}"/g, '"$1":"$2_N"'],
  [/"created":\d+/g, '"created":N'],
  // The recordings come from a server without a GPU that found no sizes.
  [/"(size_vram)":\d+/g, '"$1":N'],
  [/"size":\d+(,"digest":"[0-9a-f]{64}","details":\{[^}]*\},"expires_at")/g, '"size":N$1'],
  [/offset\+size \(\d+\) exceeds/g, 'offset+size (N) exceeds'],
  [/\b\d+ tokens|(n_prompt_tokens)(\\?"):\d+/g, '$1$2N tokens'],
];

function normal(text: string, loose: Loose): string {
  return [...VOLATILE, ...(loose.replace ?? [])].reduce((rest, [pattern, by]) => rest.replace(pattern, by), text);
}
