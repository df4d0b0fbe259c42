// What a replicator may ask of the local Ollama: what is loaded, and to unload or load one model by name. Never throws.
import { setTimeout as pause } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { LoadedHere, LoadedPort } from '../../agent/ports.ts';

const ASK_MS = 5000;
/** A runner ends when its last request does. */
const UNLOAD_MS = 30_000;
const POLL_MS = 100;
/** An order to unload that comes during a load is answered and lost: it is given again. */
const AGAIN_MS = 1000;
/** Weights of any size; a load that makes no progress is ended by Ollama itself after 5 minutes. */
const LOAD_MS = 600_000;
const BODY_BYTES_MAX = 8 * 1024 * 1024;
const ROWS_MAX = 1000;
/** keep_alive -1 shows as an end some 292 years ahead. */
const FOREVER_MS = 100 * 365 * 86_400_000;
const KEEP_MIN_S = 60;

/** The models that the Ollama at `url` (http://HOST:PORT) has loaded. `wallMs` is the wall clock. */
export function openLoaded(url: string, wallMs: () => number): LoadedPort & { close(): Promise<void> } {
  const base = new URL(url).origin;
  const dispatcher = new Agent({ connections: 2, pipelining: 1 });

  async function ask(
    path: string,
    body: unknown,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<{ status: number; json: unknown } | null> {
    try {
      const reply = await request(base + path, {
        dispatcher,
        method: body === null ? 'GET' : 'POST',
        ...(body === null ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      let text = '';
      for await (const part of reply.body.setEncoding('utf8')) {
        text += String(part);
        if (text.length > BODY_BYTES_MAX) return null;
      }
      return { status: reply.statusCode, json: JSON.parse(text) as unknown };
    } catch {
      return null;
    }
  }

  async function loaded(signal: AbortSignal): Promise<readonly LoadedHere[] | null> {
    const reply = await ask('/api/ps', null, ASK_MS, signal);
    return reply === null || reply.status !== 200 ? null : rowsOf(reply.json, wallMs());
  }

  return {
    loaded,
    unload: async (name, signal) => {
      const until = performance.now() + UNLOAD_MS;
      let askedAt = -Infinity;
      while (performance.now() < until && !signal.aborted) {
        if (performance.now() - askedAt >= AGAIN_MS) {
          await ask('/api/generate', { model: name, keep_alive: 0 }, ASK_MS, signal);
          askedAt = performance.now();
        }
        const rows = await loaded(signal);
        if (rows?.every((row) => row.name !== name) === true) return true;
        await pause(POLL_MS, undefined, { signal }).catch(() => undefined);
      }
      return false;
    },
    preload: async (was, signal) => {
      const keep_alive = was.keepAliveMs === null ? -1 : Math.max(KEEP_MIN_S, Math.round(was.keepAliveMs / 1000));
      const options = was.contextLength === null ? {} : { options: { num_ctx: was.contextLength } };
      const order = { model: was.name, keep_alive, ...options };
      const reply = await ask('/api/generate', order, LOAD_MS, signal);
      if (reply?.status === 200) return true;
      // An embedding model is loaded by its own call.
      return reply?.status === 400 && (await ask('/api/embed', { ...order, input: [] }, LOAD_MS, signal))?.status === 200;
    },
    close: () => dispatcher.destroy(),
  };
}

function rowsOf(json: unknown, nowMs: number): readonly LoadedHere[] | null {
  if (typeof json !== 'object' || json === null || !('models' in json) || !Array.isArray(json.models)) return null;
  return json.models.slice(0, ROWS_MAX).flatMap((row: unknown) => {
    if (typeof row !== 'object' || row === null || !('name' in row) || typeof row.name !== 'string') return [];
    const digest = 'digest' in row && typeof row.digest === 'string' ? row.digest : '';
    const contextLength = 'context_length' in row && typeof row.context_length === 'number' ? row.context_length : null;
    const endsAt = 'expires_at' in row && typeof row.expires_at === 'string' ? Date.parse(row.expires_at) : nowMs;
    const leftMs = Number.isFinite(endsAt) ? endsAt - nowMs : FOREVER_MS;
    return [{ name: row.name, digest, contextLength, keepAliveMs: leftMs >= FOREVER_MS ? null : leftMs }];
  });
}
