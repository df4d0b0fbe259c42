// What is copied: one large blob, and a model of many small ones, in Ollama's layout.
import { createHash, randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

const MIB = 1024 * 1024;
const SMALL_BYTES = 64 * 1024;

/** A blob below `root`/blobs. */
export type Large = { readonly root: string; readonly digest: string; readonly file: string; readonly sizeBytes: number };

/** A model below `root`. */
export type Many = { readonly root: string; readonly path: string; readonly manifest: Buffer; readonly bytes: number };

/** Writes a blob of random bytes: like weights, it cannot be compressed. */
export function makeLarge(root: string, sizeMiB: number): Large {
  mkdirSync(join(root, 'blobs'), { recursive: true });
  const [hash, piece, unnamed] = [createHash('sha256'), Buffer.alloc(MIB), join(root, 'unnamed')];
  const fd = openSync(unnamed, 'w');
  for (let i = 0; i < sizeMiB; i += 1) {
    writeSync(fd, randomFillSync(piece));
    hash.update(piece);
  }
  closeSync(fd);
  const digest = hash.digest('hex');
  const file = join(root, 'blobs', `sha256-${digest}`);
  renameSync(unnamed, file);
  return { root, digest, file, sizeBytes: sizeMiB * MIB };
}

/** Writes a model of `count` blobs of 64 KiB and a config. */
export function makeMany(root: string, count: number): Many {
  mkdirSync(join(root, 'blobs'), { recursive: true });
  const blob = (sizeBytes: number, mediaType: string) => {
    const bytes = randomFillSync(Buffer.alloc(sizeBytes));
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    writeFileSync(join(root, 'blobs', digest.replace(':', '-')), bytes);
    return { mediaType, digest, size: sizeBytes };
  };
  const config = blob(500, 'application/vnd.docker.container.image.v1+json');
  const layers = Array.from({ length: count }, () => blob(SMALL_BYTES, 'application/vnd.ollama.image.tensor'));
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
  const path = 'registry.ollama.ai/library/many/latest';
  const file = join(root, 'manifests', path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, manifest);
  return { root, path, manifest, bytes: count * SMALL_BYTES };
}
