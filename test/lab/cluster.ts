// What a lab with the product on it can be asked: the cluster's own status, models on disk, and to wait for either.
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import { monoMs } from './names.ts';

const statusSchema = z.object({
  holder: z.string(),
  epoch: z.number(),
  mode: z.string(),
  nodes: z.array(z.object({ node: z.string(), role: z.string(), state: z.string() })),
});

/** What `agentctl status --json` says, as far as tests look at it, and its exit code. */
export type ClusterStatus = z.infer<typeof statusSchema> & { readonly code: number };

/** Asks one host's agent; null when it cannot be asked. */
async function statusOf(host: Host): Promise<ClusterStatus | null> {
  const out = await host.agentctl(['status', '--json'], { timeoutMs: 10_000 });
  const parsed = statusSchema.safeParse(out.json);
  return parsed.success ? { ...parsed.data, code: out.code } : null;
}

/** Waits until a host's agent reports what is wanted; the error shows its last words. */
export async function waitStatus(
  host: Host,
  what: string,
  wanted: (status: ClusterStatus) => boolean,
  timeoutMs = 30_000,
): Promise<ClusterStatus> {
  const deadline = monoMs() + timeoutMs;
  for (;;) {
    const status = await statusOf(host);
    if (status !== null && wanted(status)) return status;
    if (monoMs() > deadline) {
      const last = await host.agentctl(['status']);
      throw new Error(`${what}: not within ${timeoutMs} ms; ${host.name} says:\n${last.stdout}${last.stderr}`);
    }
    await delay(100);
  }
}

/** Waits until the cluster is healthy in the words of `agentctl status` (code 0) and every host has its role. */
export function waitHealthy(lab: Lab, timeoutMs = 60_000): Promise<ClusterStatus> {
  const first = firstHost(lab);
  const ready = (status: ClusterStatus): boolean =>
    status.code === 0 && lab.hosts.every((host) => ['active', 'standby'].includes(roleOf(status, host.name)));
  return waitStatus(first, 'a healthy cluster', ready, timeoutMs);
}

/** A node's role in a status, '' when it does not appear. */
export function roleOf(status: ClusterStatus, node: string): string {
  return status.nodes.find((row) => row.node === node)?.role ?? '';
}

/** The lab's first host. */
function firstHost(lab: Lab): Host {
  const [first] = lab.hosts;
  if (first === undefined) throw new Error(`lab ${lab.id} has no host`);
  return first;
}

const manifestSchema = z.object({
  config: z.object({ digest: z.string() }),
  layers: z.array(z.object({ digest: z.string() })),
});

/** A host's manifest file of a model, given as `host[:port]/namespace/name/tag`. */
export function manifestFile(host: Host, modelPath: string): string {
  return join(storeOf(host), 'manifests', modelPath);
}

/** Hashes every blob that a model's manifest names, as it lies in a host's store: true only when all are there and true. */
export async function isVerified(host: Host, modelPath: string): Promise<boolean> {
  const manifest = manifestSchema.parse(JSON.parse(readFileSync(manifestFile(host, modelPath), 'utf8')));
  const digests = [manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)];
  const hashes = await Promise.all(digests.map((digest) => sha256Of(join(storeOf(host), 'blobs', digest.replace(':', '-')))));
  return hashes.every((hash, i) => `sha256:${hash}` === digests[i]);
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash).catch(() => hash.update('unreadable'));
  return hash.digest('hex');
}

function storeOf(host: Host): string {
  return join(host.plan.dataDir, 'models');
}
