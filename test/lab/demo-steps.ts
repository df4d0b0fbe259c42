// The steps of the demo, each one also a check: a step that does not do what it says throws.
import { existsSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isVerified, manifestFile, roleOf, waitStatus } from './cluster.ts';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import { monoMs } from './names.ts';
import type { Prober } from './prober/prober.ts';
import { outageMs, owners, twoOwnersMs } from './prober/records.ts';
import { pullName, type ServedModel } from './registry.ts';
import { request } from './request.ts';
import type { Teller } from './teller.ts';

/** What the demo reports of the copies. `ms`: from the pull's success to the visible manifest. */
export type Replication = {
  readonly model: string;
  readonly bytes: number;
  readonly nodes: readonly { readonly node: string; readonly ms: number; readonly verified: boolean }[];
};

/** What it reports of a move of the active role. */
export type Move = { readonly outageMs: number; readonly from: string; readonly to: string; readonly epoch: number };

const quietMs = 1000;
const settleMs = 30_000;

/** A red pixel as PNG. */
const image = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';

/** Pulls a model on the active, waits for it on every standby, hashes the copies and asks each standby, with and without an image. */
export async function pullAndReplicate(lab: Lab, active: Host, model: ServedModel, tell: Teller): Promise<Replication> {
  const { name, path } = pullName(model);
  const pulled = await request(
    lab.client.exec,
    'POST',
    `http://${active.address}:11434/api/pull`,
    { model: name, insecure: true },
    120_000,
  );
  const last = pulled.lines.at(-1);
  if (!last?.text.includes('"success"')) throw new Error(`pull on ${active.name}: ${last?.text ?? `status ${pulled.status}`}`);
  tell.note(`${active.name}: pulled ${name}`);
  const standbys = lab.hosts.filter((host) => host !== active);
  const nodes = await Promise.all(
    standbys.map(async (host) => {
      const seenAt = await appeared(manifestFile(host, path));
      return { node: host.name, ms: Math.round(Math.max(0, seenAt - last.at)) };
    }),
  );
  const checked = [];
  for (const [i, host] of standbys.entries()) {
    const node = nodes[i] ?? { node: host.name, ms: 0 };
    const verified = await isVerified(host, path);
    tell.note(
      `${host.name}: complete ${node.ms} ms after the pull ended; every blob ${verified ? 'hashes to its name' : 'IS NOT what it should be'}`,
    );
    if (!verified) throw new Error(`${host.name} shows ${name}, but a blob is missing or wrong`);
    await answersThere(host, name, tell);
    checked.push({ ...node, verified });
  }
  return { model: name, bytes: model.bytes, nodes: checked };
}

async function appeared(file: string): Promise<number> {
  const deadline = monoMs() + 60_000;
  while (!existsSync(file)) {
    if (monoMs() > deadline) throw new Error(`${file} did not appear within 60 s`);
    await delay(5);
  }
  // The harness may look late; the file tells when it was written. Both clocks are the machine's.
  return monoMs() - Math.max(0, Date.now() - statSync(file).ctimeMs);
}

async function answersThere(host: Host, model: string, tell: Teller): Promise<void> {
  const url = `http://127.0.0.1:11434/api/generate`;
  const text = await request(host.exec, 'POST', url, { model, prompt: 'Say hello.', stream: false });
  const seen = await request(host.exec, 'POST', url, { model, prompt: 'What is in the picture?', images: [image], stream: false });
  for (const answer of [text, seen]) {
    if (answer.status !== 200) throw new Error(`${host.name}: /api/generate answers ${answer.status}: ${answer.lines[0]?.text ?? ''}`);
  }
  tell.note(`${host.name}: answers a prompt, and one with an image`);
}

/** Kills the active host under a client's eyes and measures what the client saw. */
export async function failover(lab: Lab, active: Host, tell: Teller): Promise<Move> {
  await using prober = await watching(lab);
  const at = await lab.killHost(active);
  await prober.steady({ after: at, quietMs, timeoutMs: settleMs });
  const survivor = anyBut(lab, active);
  const status = await waitStatus(survivor, 'a new active', (s) => s.holder !== '' && s.holder !== active.name, settleMs);
  await prober.stop();
  return measured(lab, prober, { faultAt: at, since: at, from: active.name, to: status.holder, epoch: status.epoch }, tell);
}

/** Boots a dead host and waits until the others see it as a standby. */
export async function rejoin(lab: Lab, host: Host, tell: Teller): Promise<void> {
  await lab.reviveHost(host);
  const status = await waitStatus(
    anyBut(lab, host),
    `${host.name} back as standby`,
    (s) => roleOf(s, host.name) === 'standby' && s.code === 0,
  );
  tell.note(`${host.name} is back as ${roleOf(status, host.name)}; the active is ${status.holder}`);
  tell.text((await lab.host(status.holder).agentctl(['status'])).stdout.trimEnd());
}

/** Moves the role by `agentctl switchover` under a client's eyes. */
export async function switchover(lab: Lab, tell: Teller): Promise<Move> {
  const [any] = lab.hosts;
  if (any === undefined) throw new Error('a lab without hosts');
  const before = await waitStatus(any, 'an active', (s) => s.holder !== '');
  await using prober = await watching(lab);
  const since = monoMs();
  const out = await lab.host(before.holder).agentctl(['switchover']);
  tell.note(`agentctl switchover: ${out.stdout.trim() || out.stderr.trim()}`);
  if (out.code !== 0) throw new Error(`agentctl switchover ended with code ${out.code}: ${out.stdout}${out.stderr}`);
  await prober.steady({ after: since, quietMs, timeoutMs: settleMs });
  const after = await waitStatus(any, 'a new active', (s) => s.holder !== '' && s.holder !== before.holder);
  await prober.stop();
  return measured(lab, prober, { faultAt: null, since, from: before.holder, to: after.holder, epoch: after.epoch }, tell);
}

async function watching(lab: Lab): Promise<Prober> {
  const prober = lab.prober({ everyMs: 20 });
  await prober.steady({ after: monoMs(), quietMs, timeoutMs: settleMs });
  return prober;
}

function anyBut(lab: Lab, host: Host): Host {
  const other = lab.hosts.find((h) => h !== host);
  if (other === undefined) throw new Error(`${host.name} is alone`);
  return other;
}

type Seen = { readonly faultAt: number | null; readonly since: number } & Omit<Move, 'outageMs'>;

function measured(lab: Lab, prober: Prober, seen: Seen, tell: Teller): Move {
  const { faultAt, since, from, to, epoch } = seen;
  const outage = Math.round(outageMs(prober.requests, faultAt, since));
  const asked = prober.requests.filter((r) => r.at >= since);
  const failed = asked.filter((r) => r.error !== '');
  const order = owners(prober.answers)
    .map((o) => lab.hostByMac(o.mac))
    .filter((name, i, all) => name !== all[i - 1]);
  tell.note(`the client saw an outage of ${outage} ms: ${failed.length} of ${asked.length} requests failed${causes(failed)}`);
  tell.note(`${to} took over from ${from} under epoch ${epoch}; the VIP was answered by ${order.join(', then ')}`);
  const both = twoOwnersMs(prober.answers);
  tell.note(`two owners of the VIP at the same time: ${both === 0 ? 'never' : `${both.toFixed(0)} ms`}`);
  if (both > 0) throw new Error(`two hosts answered for the VIP for ${both.toFixed(0)} ms`);
  return { outageMs: outage, from, to, epoch };
}

function causes(failed: readonly { readonly error: string }[]): string {
  const kinds = Map.groupBy(failed, (r) => r.error);
  return kinds.size === 0 ? '' : ` (${[...kinds].map(([kind, all]) => `${all.length} ${kind}`).join(', ')})`;
}
