// The copies that are compared, each once per run, all in the same run.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { planReplication } from '../../../src/core/replication/plan.ts';
import type { Inventory } from '../../../src/core/replication/types.ts';
import type { TlsMaterial } from '../../../src/drivers/transfer/messages.ts';
import { must } from '../../lab/command.ts';
import { type BenchHost, runRsync } from './hosts.ts';
import type { Large, Many } from './material.ts';
import type { Fetched, Mode } from './orders.ts';

const BLOBS_PORT = 11441;
const POUR_PORT = 11449;

/** A host with its identity. */
export type Member = { readonly host: BenchHost; readonly tls: TlsMaterial };

/** Empties a directory, and waits until the disk has nothing to do for it. */
async function fresh(dir: string): Promise<string> {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  await must(['sync', '-f', dir], { timeoutMs: 300_000 });
  return dir;
}

/** Opens a node that serves `root`; every other member is its peer. */
async function openNode(member: Member, members: readonly Member[], root: string, mode: Mode, serves: boolean): Promise<void> {
  const at = ({ address }: BenchHost) => ({ host: address, port: BLOBS_PORT });
  const peers = members.filter((other) => other !== member).map(({ host }) => [host.name, at(host)] as const);
  await member.host.ask({ k: 'node', tls: member.tls, listen: serves ? at(member.host) : null, root, peers, mode });
}

/** One blob by rsync, s. */
export async function rsyncLarge(from: BenchHost, to: BenchHost, options: readonly string[], dir: string): Promise<number> {
  return runRsync(from, to, options, 'large', await fresh(join(dir, 'to')));
}

/** The small blobs by rsync, s. */
export async function rsyncMany(from: BenchHost, to: BenchHost, options: readonly string[], dir: string): Promise<number> {
  return runRsync(from, to, options, 'many', await fresh(join(dir, 'to')));
}

/** One blob by this program, and the sender's CPU seconds. */
export async function oursLarge(
  from: Member,
  to: Member,
  large: Large,
  mode: Mode,
  dir: string,
): Promise<Fetched & { senderCpuSeconds: number }> {
  const members = [from, to];
  await openNode(from, members, large.root, mode, true);
  await from.host.ask({ k: 'offer', digest: large.digest });
  await openNode(to, members, dir, mode, false);
  const file = join(await fresh(join(dir, 'to')), 'part');
  const { digest, sizeBytes } = large;
  await to.host.ask({ k: 'warm', file: `${file}-warm`, sources: [from.host.name] });
  const before = await from.host.ask({ k: 'cpu' });
  const fetched = await to.host.ask({ k: 'fetch', digest, sizeBytes, file, sources: [from.host.name] });
  return { ...fetched, senderCpuSeconds: (await from.host.ask({ k: 'cpu' })) - before };
}

/** The small blobs by this program: from the plan to the visible, durable model. */
export async function oursMany(from: Member, to: Member, many: Many, dir: string): Promise<Fetched> {
  const mode = { plain: false, sync: true };
  const members = [from, to];
  await openNode(from, members, many.root, mode, true);
  const inventory = await from.host.ask({ k: 'store', models: 1 });
  const root = await fresh(join(dir, 'to'));
  mkdirSync(join(root, 'blobs'));
  mkdirSync(join(root, 'manifests'));
  await openNode(to, members, root, mode, false);
  const own = await to.host.ask({ k: 'store', models: 0 });
  const plan = planOf(own, from.host.name, inventory);
  const [order] = plan.fetch;
  if (order === undefined) throw new Error('nothing to fetch');
  await to.host.ask({ k: 'warm', file: join(dir, 'warm'), sources: [from.host.name] });
  return to.host.ask({ k: 'model', plan, order, manifest: many.manifest.toString('base64') });
}

function planOf(own: Inventory, node: string, inventory: Inventory): ReturnType<typeof planReplication> {
  const policy = { include: [/^/], exclude: [], required: [] };
  return planReplication({ own, active: { node, inventory, epoch: 1 }, peers: new Map(), policy });
}

/** The blob to so many standbys at once over slow links: s until the last one has it. */
export async function fanout(members: readonly Member[], count: number, large: Large, dir: string): Promise<number> {
  const [active, ...standbys] = members;
  if (active === undefined) throw new Error('no active');
  const mode = { plain: false, sync: true };
  await openNode(active, members, large.root, mode, true);
  await active.host.ask({ k: 'offer', digest: large.digest });
  await fresh(join(dir, 'to'));
  for (const standby of standbys) await openNode(standby, members, dir, mode, true);
  const { digest, sizeBytes } = large;
  const times = standbys.slice(0, count).map(async ({ host }) => {
    const file = join(dir, 'to', `part-${host.name}`);
    return (await host.ask({ k: 'fetch', digest, sizeBytes, file, sources: [active.host.name] })).seconds;
  });
  return Math.max(...(await Promise.all(times)));
}

/** What TCP alone carries between two hosts, MiB/s. */
export async function socketOnly(from: BenchHost, to: BenchHost, bytes: number): Promise<number> {
  const address = { host: from.address, port: POUR_PORT };
  await from.ask({ k: 'pour', address, bytes });
  return to.ask({ k: 'drink', address });
}
