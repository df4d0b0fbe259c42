// A server in use: which model may be asked, and what must be the same afterwards.
import { send } from '../wire.ts';

/** The model that is asked. `own`: this run loads it, and lets it go at the end. */
export type Subject = {
  readonly model: string;
  readonly capabilities: readonly string[];
  readonly own: boolean;
  /** Context of the model as others loaded it; null = the run's own load. */
  readonly numCtx: number | null;
};

/** What must not change: the models on disk, and the loaded ones. */
export type Belongings = { readonly stored: readonly string[]; readonly loaded: readonly string[] };

type Row = {
  readonly name: string;
  readonly size: number;
  readonly digest: string;
  readonly modified_at: string;
  readonly context_length?: number;
  readonly capabilities?: readonly string[];
};

/** Where a server is. */
export type Place = { readonly host: string; readonly port: number };

/** The place that a URL names. Throws an `Error` with one clear text. */
export function placeOf(url: string): Place {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed?.protocol !== 'http:') throw new Error(`OLLAMA=${url}: give a URL like http://127.0.0.1:11434`);
  return { host: parsed.hostname.replace(/^\[|\]$/g, ''), port: Number(parsed.port || 80) };
}

/** Sends JSON and gives the whole body. */
export async function talk(place: Place, method: string, path: string, body: unknown = null, timeoutMs = 300_000) {
  const headers = [['Host', `${place.host}:${place.port}`] as const];
  const text = body === null ? null : JSON.stringify(body);
  const reply = await send(place.port, { method, path, headers, body: text }, { timeoutMs, host: place.host });
  return { status: reply.status, body: reply.chunks === null ? reply.body : reply.chunks.join('') };
}

async function rows(place: Place, path: string): Promise<readonly Row[]> {
  const reply = await talk(place, 'GET', path, null, 30_000);
  if (reply.status !== 200) throw new Error(`GET ${path}: ${reply.status ?? 'no answer'} ${reply.body}`);
  return (JSON.parse(reply.body) as { models: readonly Row[] }).models;
}

/** What the server has now. */
export async function belongings(place: Place): Promise<Belongings> {
  const stored = (await rows(place, '/api/tags')).map((row) => `${row.name} ${row.digest} ${row.modified_at}`);
  const loaded = (await rows(place, '/api/ps')).map((row) => `${row.name} ${row.digest} ${row.context_length}`);
  return { stored: [...stored].sort(), loaded: [...loaded].sort() };
}

/** Chooses the model: one that is loaded, else the smallest that speaks (or the one that is wished). A text says why there is none. */
export async function subjectOf(place: Place, wish: string | null): Promise<Subject | string> {
  const stored = await rows(place, '/api/tags');
  const loaded = await rows(place, '/api/ps');
  const chosen = wish === null ? null : stored.find((row) => row.name === wish || row.name === `${wish}:latest`);
  if (chosen === undefined) return `there is no model ${wish}`;
  for (const row of loaded) {
    const known = stored.find((other) => other.digest === row.digest);
    if (known === undefined || (chosen !== null && chosen !== known)) continue;
    return { model: known.name, capabilities: await capabilitiesOf(place, known.name), own: false, numCtx: row.context_length ?? null };
  }
  if (loaded.length > 0)
    return `${loaded.map((row) => row.name).join(', ')} is loaded, and another model beside it might cost it its place`;
  for (const row of chosen === null ? [...stored].sort((a, b) => a.size - b.size) : [chosen]) {
    const capabilities = await capabilitiesOf(place, row.name);
    if (chosen !== null || capabilities.includes('completion')) return { model: row.name, capabilities, own: true, numCtx: null };
  }
  return 'there is no model that speaks';
}

// /api/show is right where the list may be wrong.
async function capabilitiesOf(place: Place, model: string): Promise<readonly string[]> {
  const reply = await talk(place, 'POST', '/api/show', { model });
  const found = reply.status === 200 ? (JSON.parse(reply.body) as { capabilities?: readonly string[] }).capabilities : undefined;
  return found ?? [];
}
