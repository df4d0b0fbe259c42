// Fetches one blob as Ollama does: 307 to another host, parts of at least 100 MB side by side, progress files, rename before verification.

import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import http, { type IncomingMessage } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { blobPath, blobSize } from './disk.ts';
import { goFsError } from './go.ts';

/** A failure whose text ends the pull. */
export class PullError extends Error {}

/** How far a blob is, in bytes. */
export type Progress = { readonly digest: string; readonly total: number; readonly completed: number };

/** What to fetch, and how it is told. */
export type BlobWish = {
  readonly store: string;
  readonly url: string;
  readonly digest: string;
  readonly progress: (progress: Progress) => void;
  /** Fails for want of space after so many bytes; null = never. */
  readonly enospcAfterBytes: () => number | null;
  readonly signal: AbortSignal;
};

type Part = { N: number; Offset: number; Size: number; Completed: number };

const PARTS = 16;
const PART_MIN_BYTES = 100_000_000;
const PART_MAX_BYTES = 1_000_000_000;
const TICK_MS = 60;
const RETRIES = 6;

/** Fetches a blob unless a file of its name exists; true = it was there and has not been looked at. Throws `PullError`. */
export async function fetchBlob(wish: BlobWish): Promise<boolean> {
  const present = blobSize(wish.store, wish.digest);
  if (present >= 0) {
    wish.progress({ digest: wish.digest, total: present, completed: present });
    return true;
  }
  const target = blobPath(wish.store, wish.digest);
  const parts = savedParts(target) ?? (await planParts(wish, target));
  const total = parts.reduce((sum, part) => sum + part.Size, 0);
  const tick = setInterval(() => wish.progress({ digest: wish.digest, total, completed: completed(parts) }), TICK_MS);
  try {
    await fetchParts(wish, target, parts, total);
  } finally {
    clearInterval(tick);
  }
  for (const part of parts) rmSync(partFile(target, part), { force: true });
  renameSync(`${target}-partial`, target);
  return false;
}

/** Hashes a file that was just fetched; on a mismatch it is removed and the pull fails. */
export async function verifyBlob(store: string, digest: string): Promise<void> {
  const path = blobPath(store, digest);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk);
  const got = `sha256:${hash.digest('hex')}`;
  if (got === digest) return;
  rmSync(path, { force: true });
  throw new PullError(`digest mismatch, file must be downloaded again: want ${digest}, got ${got}`);
}

function completed(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + part.Completed, 0);
}

function partFile(target: string, part: Part): string {
  return `${target}-partial-${part.N}`;
}

function savePart(target: string, part: Part): void {
  const { N, Offset, Size, Completed } = part;
  writeFileSync(partFile(target, part), `${JSON.stringify({ N, Offset, Size, Completed })}\n`);
}

function savedParts(target: string): Part[] | null {
  const name = `${target.slice(target.lastIndexOf('/') + 1)}-partial-`;
  const folder = target.slice(0, target.lastIndexOf('/'));
  if (!existsSync(`${target}-partial`)) return null;
  const files = readdirSync(folder).filter((file) => file.startsWith(name));
  const parts = files.map((file): Part => {
    const text = readFileSync(`${folder}/${file}`, 'utf8');
    // An empty progress file is what a full disk leaves behind; every later pull then fails.
    if (text.trim() === '') throw new PullError('EOF');
    return JSON.parse(text);
  });
  return parts.length === 0 ? null : parts.sort((a, b) => a.N - b.N);
}

async function planParts(wish: BlobWish, target: string): Promise<Part[]> {
  const reply = await ask(wish.url, 'HEAD', {}, wish.signal);
  reply.resume();
  if (reply.statusCode === 404) throw new PullError('file does not exist');
  const total = Number(reply.headers['content-length'] ?? 0);
  const size = Math.min(PART_MAX_BYTES, Math.max(PART_MIN_BYTES, Math.floor(total / PARTS)));
  const parts: Part[] = [];
  for (let offset = 0; offset < total; offset += size)
    parts.push({ N: parts.length, Offset: offset, Size: Math.min(size, total - offset), Completed: 0 });
  for (const part of parts) savePart(target, part);
  return parts;
}

async function fetchParts(wish: BlobWish, target: string, parts: readonly Part[], total: number): Promise<void> {
  const direct = await directUrl(wish.url, wish.signal);
  const partial = `${target}-partial`;
  let noSpace = false;
  const file = await open(partial, existsSync(partial) ? 'r+' : 'w+', 0o644);
  const stop = new AbortController();
  const signal = AbortSignal.any([wish.signal, stop.signal]);
  try {
    await file.truncate(total);
    const runs = parts
      .filter((part) => part.Completed < part.Size)
      .map((part) => fetchPart({ ...wish, url: direct, signal }, file, partial, part));
    await Promise.all(runs).catch(async (error: unknown) => {
      stop.abort();
      await Promise.allSettled(runs);
      throw error;
    });
  } catch (error) {
    noSpace = error instanceof PullError && error.message.endsWith('no space left on device');
    throw error instanceof PullError ? error : new PullError(wish.signal.aborted ? 'context canceled' : goFsError('write', partial, error));
  } finally {
    // A full disk leaves the progress files empty; every later pull then fails with EOF until they are gone.
    for (const part of parts) noSpace ? writeFileSync(partFile(target, part), '') : savePart(target, part);
    await file.close();
  }
}

async function fetchPart(wish: BlobWish, file: FileHandle, path: string, part: Part): Promise<void> {
  for (let attempt = 0; part.Completed < part.Size; attempt++) {
    if (wish.signal.aborted) throw new PullError('context canceled');
    if (attempt >= RETRIES) throw new PullError('max retries exceeded: unexpected EOF');
    if (attempt > 0) await pause(1000 * 2 ** (attempt - 1), undefined, { signal: wish.signal });
    await copyPart(wish, file, path, part);
  }
}

async function copyPart(wish: BlobWish, file: FileHandle, path: string, part: Part): Promise<void> {
  const range = `bytes=${part.Offset + part.Completed}-${part.Offset + part.Size - 1}`;
  try {
    const reply = await ask(wish.url, 'GET', { Range: range }, wish.signal);
    for await (const bytes of reply) {
      const full = wish.enospcAfterBytes();
      if (full !== null && part.Completed + bytes.length > full) throw new PullError(`write ${path}: no space left on device`);
      await file.write(bytes, 0, bytes.length, part.Offset + part.Completed);
      part.Completed += bytes.length;
    }
  } catch (error) {
    // A broken connection is tried again; everything else is final.
    if (error instanceof PullError || !isNetwork(error)) throw error;
  }
}

function isNetwork(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^(ECONN|EPIPE|ETIMEDOUT|ERR_STREAM|HPE_|ABORT_ERR|UND_)/.test(String(error.code));
}

// Only a redirect to another host name gives a Location; one to the same name is followed, and its 200 has none.
async function directUrl(url: string, signal: AbortSignal): Promise<string> {
  let here = url;
  for (let hops = 0; hops < 10; hops++) {
    const reply = await ask(here, 'GET', {}, signal);
    reply.destroy();
    const location = reply.headers.location;
    if ((reply.statusCode ?? 0) < 300 || location === undefined) break;
    const next = new URL(location, here);
    if (next.hostname !== new URL(here).hostname) return next.href;
    here = next.href;
  }
  throw new PullError('http: no Location header in response');
}

/** One request without following redirects. Rejects with the error of the network. */
export function ask(url: string, method: string, headers: Record<string, string>, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((settle, fail) => {
    const request = http.request(url, { method, headers: { 'User-Agent': 'ollama/0.33.0-rc2', ...headers }, signal, agent: false }, settle);
    request.on('error', fail);
    request.end();
  });
}
