// Makes Ollama read a model anew whose weights were missing when it was first asked for: since then its cache, by digest of the manifest, denies what
// the model can do. For a moment the manifest gets another byte, and with it another digest; one request for that fills the cache, and the bytes of
// before come back. Only names in the store change, each by a rename; whoever else writes the manifest meanwhile wins.
import type { Stats } from 'node:fs';
import { chmod, chown, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathOfName } from '../../core/replication/names.ts';

const MANIFEST_MAX = 4 * 1_048_576;

/** Changes the manifest of `model` below `store`, runs `ask`, and puts the manifest back whatever came of it. Rejects when it cannot. */
export async function withVariant<T>(store: string, model: string, ask: () => Promise<T>): Promise<T> {
  const path = pathOfName(model);
  if (path === null) throw new Error(`${model} is no name of a model`);
  const file = join(store, 'manifests', path);
  const bytes = await readFile(file);
  if (bytes.length > MANIFEST_MAX) throw new Error(`the manifest of ${model} is too large`);
  const variant = Buffer.concat([bytes, Buffer.from('\n')]);
  const before = await stat(file);
  await put(store, file, variant, before);
  try {
    return await ask();
  } finally {
    const now = await readFile(file).catch(() => null);
    if (now?.equals(variant) === true) await put(store, file, bytes, before);
  }
}

type Attributes = Stats;

// Not among the manifests: Ollama reads every file there.
async function put(store: string, file: string, bytes: Uint8Array, like: Attributes): Promise<void> {
  const next = join(store, `.agent-heal-${process.pid}`);
  // Left by a crash.
  await rm(next, { force: true });
  try {
    const handle = await open(next, 'wx', 0o600);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await chown(next, like.uid, like.gid);
    await chmod(next, like.mode & 0o777);
    await utimes(next, like.atime, like.mtime);
    await rename(next, file);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
  const dir = await open(dirname(file), 'r');
  await dir.sync().finally(() => dir.close());
}
