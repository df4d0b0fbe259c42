// POST /api/pull: a registry-v2 client that leaves in the store exactly what Ollama leaves there, in the same order.
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { layersOf, manifestOf, readModel } from './disk.ts';
import { ask, fetchBlob, PullError, verifyBlob } from './download.ts';
import { goJson } from './go.ts';
import { type Exchange, ndjson, refuse, reply, TYPE } from './http.ts';
import type { Engine } from './inference.ts';
import { type Name, parseName, pathOf } from './names.ts';
import { fieldsOf, textOf } from './request.ts';
import { removeUnused } from './store-calls.ts';

/** Serves one pull. */
export async function servePull(x: Exchange, engine: Engine): Promise<void> {
  const fields = await fieldsOf(x, 'PullRequest', { model: 'string', name: 'string', insecure: 'bool', stream: 'bool' });
  if (fields === null) return;
  const name = parseName(textOf(fields, 'model') || textOf(fields, 'name'));
  if (name === null) return refuse(x, 400, 'invalid model name');
  const wish = { engine, name, insecure: fields.insecure === true, signal: x.signal };
  if (fields.stream === false) {
    const error = await tryPull(wish, () => undefined);
    return error === null ? reply(x, 200, TYPE.json, goJson({ status: 'success' })) : reply(x, 500, TYPE.json, goJson({ error }));
  }
  const out = ndjson(x);
  const error = await tryPull(wish, (line) => out.line(line));
  if (error !== null) out.line({ error });
  else out.line({ status: 'success' });
  if (out.open) out.end();
}

type Wish = { readonly engine: Engine; readonly name: Name; readonly insecure: boolean; readonly signal: AbortSignal };
type Tell = (line: Readonly<Record<string, unknown>>) => void;

async function tryPull(wish: Wish, tell: Tell): Promise<string | null> {
  try {
    await pull(wish, tell);
    return null;
  } catch (error) {
    return error instanceof PullError ? error.message : String(error);
  }
}

async function pull(wish: Wish, tell: Tell): Promise<void> {
  const { store, noPrune } = wish.engine.options;
  tell({ status: 'pulling manifest' });
  const old = readModel(store, wish.name);
  const bytes = await fetchManifest(wish);
  const digests = layersOf(manifestOf(JSON.parse(bytes.toString('utf8'))))
    .map((layer) => layer.digest)
    .filter((digest) => /^sha256:[0-9a-f]{64}$/.test(digest));
  mkdirSync(join(store, 'blobs'), { recursive: true });
  const fetched: string[] = [];
  for (const digest of digests) {
    const present = await fetchBlob({
      store,
      url: `${baseUrl(wish)}/blobs/${digest}`,
      digest,
      progress: ({ total, completed }) => tell({ status: `pulling ${digest.slice(7, 19)}`, digest, total, completed }),
      enospcAfterBytes: () => wish.engine.faults().pullEnospcAfterBytes,
      signal: wish.signal,
    });
    if (!present) fetched.push(digest);
  }
  tell({ status: 'verifying sha256 digest' });
  for (const digest of fetched) await verifyBlob(store, digest);
  tell({ status: 'writing manifest' });
  const file = join(store, 'manifests', pathOf(wish.name));
  mkdirSync(dirname(file), { recursive: true });
  // Truncated in place, without a temporary file: a reader may see an empty manifest.
  writeFileSync(file, bytes, { mode: 0o644 });
  if (noPrune || old === null || typeof old === 'string') return;
  const gone = layersOf(old.manifest).filter((layer) => !digests.includes(layer.digest));
  if (gone.length > 0) tell({ status: 'removing unused layers' });
  removeUnused(store, gone);
}

function baseUrl(wish: Wish): string {
  return `${wish.insecure ? 'http' : 'https'}://${wish.name.host}/v2/${wish.name.namespace}/${wish.name.model}`;
}

async function fetchManifest(wish: Wish): Promise<Buffer> {
  const url = `${baseUrl(wish)}/manifests/${wish.name.tag}`;
  const failed = (why: string) => new PullError(`pull model manifest: ${why}`);
  try {
    if (!wish.insecure) throw failed(`Get "${url}": ${await withoutTls(url)}`);
    const accept = 'application/vnd.docker.distribution.manifest.v2+json';
    const answer = await ask(url, 'GET', { Accept: accept }, wish.signal);
    const parts: Buffer[] = [];
    for await (const part of answer) parts.push(part);
    if (answer.statusCode === 404) throw failed('file does not exist');
    if ((answer.statusCode ?? 500) >= 400) throw failed(`${answer.statusCode}: ${Buffer.concat(parts)}`);
    return Buffer.concat(parts);
  } catch (error) {
    throw error instanceof PullError ? error : failed(`Get "${url}": ${dialError(url, error)}`);
  }
}

// The fake speaks no TLS: it tells what a plain port gives to a client that expects TLS, or why there is no connection.
function withoutTls(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((settle) => {
    const socket = connect({ host: hostname, port: Number(port || 443) });
    socket.setTimeout(5000, () => socket.destroy(new Error('timeout')));
    socket.once('connect', () => {
      socket.destroy();
      settle('tls: first record does not look like a TLS handshake');
    });
    socket.once('error', (error) => settle(dialError(url, error)));
  });
}

function dialError(url: string, error: unknown): string {
  const first = error instanceof AggregateError ? error.errors.at(-1) : error;
  const facts = first as { code?: string; address?: string; port?: number };
  const { hostname, port } = new URL(url);
  if (facts.code === 'ENOTFOUND' || facts.code === 'EAI_AGAIN') return `dial tcp: lookup ${hostname} on 127.0.0.53:53: no such host`;
  const words: Record<string, string> = { ECONNREFUSED: 'connect: connection refused', EHOSTUNREACH: 'connect: no route to host' };
  return `dial tcp ${facts.address ?? hostname}:${facts.port ?? port}: ${words[facts.code ?? ''] ?? String(first)}`;
}
