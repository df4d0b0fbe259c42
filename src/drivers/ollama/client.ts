// The three questions that probes ask an Ollama, each bounded in time and size, none of them able to throw.
import { request } from 'undici';
import type { LoadedModel } from '../../core/health/types.ts';
import { type OwnPorts, ownAgent } from './own-ports.ts';

/** How one question ended. `ms` counts from the send. */
export type Asked<T> =
  /** An HTTP answer. `value` is null when the status is not 2xx or the body is not what it should be. */
  | { readonly k: 'answer'; readonly status: number; readonly ms: number; readonly value: T | null }
  /** Nobody listens on the port. */
  | { readonly k: 'refused'; readonly ms: number }
  /** No answer within the deadline, or the connection broke. */
  | { readonly k: 'silent'; readonly ms: number; readonly error: string };

/** Asks one Ollama. Never throws, never holds more than `MAX_BODY_BYTES` of an answer. */
export interface OllamaClient {
  /** GET /api/version: a static handler, it proves that the process serves HTTP and no more. */
  version(signal?: AbortSignal): Promise<Asked<string>>;
  /** GET /api/tags: the listed names. A single 500 is asked again, since a store that is being changed gives one. */
  tags(signal?: AbortSignal): Promise<Asked<Listed>>;
  /** GET /api/ps: the loaded models. */
  ps(signal?: AbortSignal): Promise<Asked<readonly LoadedModel[]>>;
  close(): Promise<void>;
}

/** What /api/tags lists; `abilities` only of names for which it tells them. */
export type Listed = { readonly names: readonly string[]; readonly abilities: ReadonlyMap<string, readonly string[]> };

/** Longest answer that is read; a store of some ten thousand models stays below it. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
const MAX_NAMES = 10_000;
const MAX_NAME_LENGTH = 700;
const MAX_VERSION_LENGTH = 64;

/** A client for the Ollama at `url` (http://HOST:PORT). `timeoutMs` bounds each question as a whole; default 2000. */
export function createOllamaClient(url: string, options: { readonly timeoutMs?: number; readonly own?: OwnPorts } = {}): OllamaClient {
  const timeoutMs = options.timeoutMs ?? 2000;
  const base = url.replace(/\/+$/, '');
  const dispatcher = ownAgent({ connections: 3, keepAliveMs: 30_000, connectMs: timeoutMs, own: options.own });

  async function get<T>(path: string, read: (body: unknown) => T | null, signal: AbortSignal | undefined): Promise<Asked<T>> {
    const start = performance.now();
    const deadline = AbortSignal.timeout(timeoutMs);
    try {
      const limit = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
      const reply = await request(base + path, { dispatcher, signal: limit, headersTimeout: 0, bodyTimeout: 0 });
      const text = await bounded(reply.body);
      const ok = reply.statusCode >= 200 && reply.statusCode < 300;
      return {
        k: 'answer',
        status: reply.statusCode,
        ms: performance.now() - start,
        value: ok && text !== null ? read(parsed(text)) : null,
      };
    } catch (error) {
      return failure(error, performance.now() - start);
    }
  }

  async function tags(signal?: AbortSignal): Promise<Asked<Listed>> {
    const first = await get('/api/tags', listedOf, signal);
    return first.k === 'answer' && first.status === 500 ? get('/api/tags', listedOf, signal) : first;
  }

  return {
    version: (signal) => get('/api/version', versionOf, signal),
    tags,
    ps: (signal) => get('/api/ps', loadedOf, signal),
    close: () => dispatcher.destroy(),
  };
}

async function bounded(body: AsyncIterable<Uint8Array>): Promise<string | null> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body) {
    size += part.length;
    // Leaving the loop destroys the body, and with it the connection.
    if (size > MAX_BODY_BYTES) return null;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function failure(error: unknown, ms: number): Asked<never> {
  const code = codeOf(error);
  return code === 'ECONNREFUSED' ? { k: 'refused', ms } : { k: 'silent', ms, error: code };
}

/** The code of a network error; undici wraps some, and one per address when a name has several. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.cause === undefined ? error.name : codeOf(error.cause);
}

function versionOf(body: unknown): string | null {
  const version = field(body, 'version');
  return typeof version === 'string' ? version.slice(0, MAX_VERSION_LENGTH) : null;
}

function listedOf(body: unknown): Listed | null {
  const rows = rowsOf(body);
  if (rows === null) return null;
  const named = rows.flatMap((row) => {
    const name = nameOf(row);
    return name === null ? [] : [{ name, can: field(row, 'capabilities') }];
  });
  const abilities = named.flatMap(({ name, can }): [string, readonly string[]][] =>
    Array.isArray(can) ? [[name, can.slice(0, ABILITIES_MAX).filter((word) => typeof word === 'string')]] : [],
  );
  return { names: named.map(({ name }) => name), abilities: new Map(abilities) };
}

const ABILITIES_MAX = 16;
/** keep_alive -1 shows as an end some 292 years ahead. */
const FOREVER_MS = 100 * 365 * 86_400_000;

/** ms until the model leaves memory; null = never. Only a difference of two wall clocks on one host. */
function leftOf(row: unknown): { expiresInMs?: number | null } {
  const text = field(row, 'expires_at');
  const at = typeof text === 'string' ? Date.parse(text) : Number.NaN;
  if (!Number.isFinite(at)) return typeof text === 'string' && /^2[2-9]\d\d-/.test(text) ? { expiresInMs: null } : {};
  const left = at - Date.now();
  return { expiresInMs: left >= FOREVER_MS ? null : left };
}

function loadedOf(body: unknown): readonly LoadedModel[] | null {
  return (
    rowsOf(body)?.flatMap((row) => {
      const name = nameOf(row);
      const digest = field(row, 'digest');
      if (name === null || typeof digest !== 'string' || !/^[0-9a-f]{64}$/.test(digest)) return [];
      const contextLength = field(row, 'context_length');
      return [
        {
          name,
          digest,
          sizeBytes: count(field(row, 'size')),
          vramBytes: count(field(row, 'size_vram')),
          contextLength: typeof contextLength === 'number' ? contextLength : null,
          ...leftOf(row),
        },
      ];
    }) ?? null
  );
}

function rowsOf(body: unknown): readonly unknown[] | null {
  const rows = field(body, 'models');
  return Array.isArray(rows) ? rows.slice(0, MAX_NAMES) : null;
}

function nameOf(row: unknown): string | null {
  const name = field(row, 'name');
  return typeof name === 'string' && name.length > 0 && name.length <= MAX_NAME_LENGTH ? name : null;
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0;
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Object.entries(value).find(([name]) => name === key)?.[1] : undefined;
}
