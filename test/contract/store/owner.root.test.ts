// What the agent, as root, writes into a store belongs to whom the store belongs to: Ollama must be able to rewrite and delete it.
import { chownSync, lstatSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fileKeyOf } from '../../../src/core/replication/names.ts';
import { freshRoot, makeModel, open } from './models.ts';

const [uid, gid] = [12_345, 12_346];

test('blobs, manifests and new directories get the owner of the store and the modes that Ollama gives them', async () => {
  const root = freshRoot();
  for (const dir of ['', 'blobs', 'manifests']) chownSync(join(root, dir), uid, gid);
  const store = await open(root);
  const model = makeModel('tiny');
  for (const { digest, bytes } of model.blobs) {
    const { file } = await store.stage(digest);
    writeFileSync(file, bytes, { mode: 0o600 });
    const { ino, size, mtimeNs, ctimeNs } = lstatSync(file, { bigint: true });
    await store.publishBlob({ digest, sizeBytes: bytes.length }, fileKeyOf({ ino, size, mtimeNs, ctimeNs }));
  }
  expect(await store.publishModel({ path: model.path, digest: model.digest, bytes: model.manifest })).toEqual({ k: 'published' });
  const made = ['blobs', 'manifests'].flatMap((dir) =>
    readdirSync(join(root, dir), { recursive: true }).map((name) => join(root, dir, String(name))),
  );
  expect(made).toHaveLength(model.blobs.length + 4);
  for (const path of made) {
    const stat = lstatSync(path);
    expect([path, stat.uid, stat.gid, stat.mode & 0o777]).toEqual([path, uid, gid, stat.isDirectory() ? 0o755 : 0o644]);
  }
});
